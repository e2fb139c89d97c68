"""What all tests share: the asyncio backend for async tests and the fixture rollouts by name."""

from pathlib import Path

import pytest

ROLLOUTS = Path(__file__).parent / "fixtures" / "rollouts"


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"


def fixture_rollouts(pattern: str = "*") -> list[Path]:
    """Recorded and hand-made rollout files, sorted; `pattern` is a glob on the name without `.jsonl`."""
    return sorted(ROLLOUTS.glob(f"{pattern}.jsonl"))
