"""Where the other programs of the interop tests are: what `.ci/interop-setup` installed, and our own server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".interop"

Engine = Literal["ours", "reference"]
OTHER: dict[Engine, Engine] = {"ours": "reference", "reference": "ours"}


def codex(engine: Engine) -> list[str]:
    """The command line of an engine, up to and without its subcommand."""
    if engine == "ours":
        return [str(Path(sys.executable).with_name("rollout-engine"))]
    return [node(), str(installed("node_modules/@openai/codex/bin/codex.js"))]


def node() -> str:
    """The node binary."""
    return tool("node")


def tool(name: str) -> str:
    """A program of the system."""
    path = shutil.which(name)
    assert path, f"{name} is missing: .ci/run installs it"
    return path


def installed(path: str) -> Path:
    """A file that `.ci/interop-setup` brings."""
    found = INSTALLED / path
    assert found.exists(), f"{found.relative_to(ROOT)} is missing: run .ci/interop-setup"
    return found
