"""Keeping the user's word about an MCP tool in their config.toml."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import tomlkit
import tomlkit.exceptions
import tomlkit.items

from engine.config import ConfigError


def keep_approval(home: Path, server: str, tool: str) -> bool:
    """Write `[mcp_servers.SERVER.tools.TOOL] approval_mode = "approve"`; all else in the file stays.

    False when the user's own file does not have the server (it is a project's, or a plugin's): nothing is written.
    The file is replaced as a whole; a link to it and its mode stay.

    :raises ConfigError: if the file cannot be read, parsed or written
    """
    file = (home / "config.toml").resolve()
    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        servers = document.get("mcp_servers", {})
        if server not in servers:
            return False
        tools = servers[server].setdefault("tools", tomlkit.table(is_super_table=True))
        tools.setdefault(tool, tomlkit.table())["approval_mode"] = "approve"
        fresh = file.with_name(f".config.toml.{os.getpid()}")
        fresh.write_text(tomlkit.dumps(document), encoding="utf-8")
        shutil.copymode(file, fresh)
        fresh.replace(file)
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.TOMLKitError) as error:
        raise ConfigError(f"Failed to record the approval of {server}/{tool} in {file}: {error}") from error
    return True
