"""`python -m tools.protocol`: write, `--check`, or `vendor` (see the package's docstring)."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import projections
from tools.protocol.emit import package
from tools.protocol.vendor import vendor

_SCHEMAS = Path(__file__).with_name("schemas.json")
_TARGET = Path(projections.__file__).with_name("protocol")


def main(arguments: list[str] | None = None, target: Path = _TARGET) -> int:
    """Exit code: 0 done or equal, 1 different (`--check`)."""
    parser = argparse.ArgumentParser(prog="python -m tools.protocol", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is there, write nothing")
    commands = parser.add_subparsers(dest="command")
    source = commands.add_parser("vendor", help="make schemas.json from the reference's own output")
    source.add_argument("version")
    for name in ("stable", "experimental", "bindings"):
        source.add_argument(name, type=Path)
    given = parser.parse_args(arguments)
    if given.command == "vendor":
        _SCHEMAS.write_text(vendor(given.version, given.stable, given.experimental, given.bindings))
        return 0
    files = package(json.loads(_SCHEMAS.read_text()))
    present = {path.name: path.read_text() for path in target.glob("*.py")}
    different = sorted(name for name in files.keys() | present if files.get(name) != present.get(name))
    if given.check:
        for name in different:
            print(f"projections/protocol/{name} is not what the generator writes", file=sys.stderr)
        return 1 if different else 0
    target.mkdir(exist_ok=True)
    for name in different:
        if name in files:
            (target / name).write_text(files[name])
        else:
            (target / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
