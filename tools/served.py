"""`python -m tools.served`: the table of methods in the README, made from the server's own table.

Writes the part between two marks and nothing else; with `--check` it only says whether that part is current.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import cyclopts

README: Final = Path(__file__).parents[1] / "README.md"
BEGIN: Final = "<!-- methods: made by python -m tools.served -->\n"
END: Final = "<!-- end of methods -->\n"

_ALONE: Final = "without area"
"""The row of methods without an area in their name."""


def table(served: Mapping[str, bool]) -> str:
    """The table, given for every method whether it is served; what has nothing to show is named below it."""
    areas: dict[str, tuple[list[str], list[str]]] = {}
    for name, yes in served.items():
        area = name.partition("/")[0] if "/" in name else _ALONE
        areas.setdefault(area, ([], []))[0 if yes else 1].append(name)
    rows = [f"| {area} | {_names(area, yes)} | {_names(area, no)} |" for area, (yes, no) in areas.items() if yes]
    lines = ["| area | served | not yet |", "|---|---|---|", *sorted(rows)]
    if empty := sorted(area for area, (yes, _) in areas.items() if not yes):
        lines += ["", f"Nothing yet of: {', '.join(empty)}."]
    return "\n".join(lines) + "\n"


def _names(area: str, names: Iterable[str]) -> str:
    return " ".join(f"`{name.removeprefix(f'{area}/')}`" for name in names)


def current() -> dict[str, bool]:
    """Every method of the protocol and its aliases, and whether this server serves it."""
    from engine.appserver.handlers import all_handlers, methods

    return {name: method.handler is not None for name, method in methods(all_handlers()).items()}


def replaced(text: str, made: str) -> str:
    """The text with what is between the marks replaced.

    :raises ValueError: a mark is missing.
    """
    start = text.index(BEGIN) + len(BEGIN)
    return text[:start] + made + text[text.index(END, start) :]


def main(*, check: bool = False) -> None:
    """Write the table of methods into the README.

    Parameters
    ----------
    check
        Write nothing; exit with 1 if the table is not current.
    """
    text = README.read_text()
    made = replaced(text, table(current()))
    if check and made != text:
        print("README.md: the table of methods is not current; run python -m tools.served", file=sys.stderr)
        sys.exit(1)
    if not check:
        README.write_text(made)


if __name__ == "__main__":
    cyclopts.run(main)
