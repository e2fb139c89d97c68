"""What 0.125.0 made of the fixture rollouts: turns read, usage replayed, history sent to the model, window number.

Recorded from the reference itself by resuming each fixture and starting a turn; one JSON file per fixture.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rollouts.log import FileLog

_FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMES = sorted(path.stem for path in (_FIXTURES / "expected").glob("*.json"))
OLD_NAMES = [name for name in NAMES if not name.endswith("_0169")]
"""Fixtures of versions whose turns the reference can show."""


def recorded(name: str) -> dict[str, Any]:
    """The recorded answers for a fixture: `turns`, `usage`, `history`, `compactions`."""
    result: dict[str, Any] = json.loads((_FIXTURES / "expected" / f"{name}.json").read_text())
    return result


def fixture_log(name: str) -> FileLog:
    """The fixture as a log. Nobody writes to it."""
    return FileLog(_FIXTURES / "rollouts" / f"{name}.jsonl")
