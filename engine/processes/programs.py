"""Programs that commands find on their PATH because the engine puts them there: `apply_patch`, by both its names.

They are small scripts in a folder of CODEX_HOME, which start the module that does the work with the interpreter and the
code of this process, whatever the folder and the environment of the command.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

NAMES = ("apply_patch", "applypatch")
_CODE = Path(__file__).parents[2]
_START = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('engine.patch.program', run_name='__main__', alter_sys=True)"
)


def with_programs(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """An environment whose PATH begins with our programs. It stays as it is when they cannot be written to the home."""
    try:
        folder = _installed(home)
    except OSError:
        return dict(env)
    return {**env, "PATH": os.pathsep.join(filter(None, (str(folder), env.get("PATH", os.defpath))))}


def _installed(home: Path) -> Path:
    """The folder of the programs. Their text is checked each time, since commands may be able to write there."""
    command = (sys.executable, "-I", "-c", _START, str(_CODE))
    script = f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n'
    folder = home / "tmp" / f"programs-{hashlib.sha256(script.encode()).hexdigest()[:12]}"
    for name in NAMES:
        if not _is(folder / name, script):
            _write(folder / name, script)
    return folder


def _is(path: Path, script: str) -> bool:
    with suppress(OSError, UnicodeDecodeError):
        return not path.is_symlink() and os.access(path, os.X_OK) and path.read_text() == script
    return False


def _write(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(script)
    os.chmod(file.name, 0o755)
    os.replace(file.name, path)
