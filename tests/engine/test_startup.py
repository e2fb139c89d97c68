"""What a server loads before it can answer `initialize`. Counted in modules, as time depends on the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "cryptography": "logins",
    "cyclopts": "tools for people",
    "eventsourcing": "threads in a database",
    "httpx2": "the first turn",
    "jwt": "logins",
    "mcp": "MCP servers",
    "rich": "tools for people",
    "tomlkit": "changes of config.toml",
    "websockets": "sockets",
    "yaml": "skills",
    "zstandard": "archives",
}
"""Packages that take long to import -> what they are for."""
HELLO = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"clientInfo": {"name": "t", "version": "1"}}}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "thread/list", "params": {}}
PROGRAM = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from engine.cli import main
main(["app-server"])
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Top-level names of what a server has loaded after it has said hello and listed threads."""
    home = tmp_path_factory.mktemp("home")
    (home / "config.toml").write_text('model_provider = "demo"\n')
    messages = [HELLO, {"jsonrpc": "2.0", "method": "initialized"}, LIST]
    given = "".join(json.dumps(message) + "\n" for message in messages)
    env = {**os.environ, "CODEX_HOME": str(home), "HOME": str(home)}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=given, capture_output=True, text=True, env=env, cwd=root, check=True
    )
    assert '"id":2' in done.stdout, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize("package", HEAVY)
def test_what_few_need_is_not_loaded(loaded: set[str], package: str) -> None:
    assert package not in loaded, f"{package} is for {HEAVY[package]}"
