"""What all tests share: an empty home folder, the asyncio backend for async tests, the fixture rollouts by name, and
Hypothesis without an eye on the clock: a busy machine is slow to make examples and to try them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
ROLLOUTS = Path(__file__).parent / "fixtures" / "rollouts"


@pytest.fixture(autouse=True, scope="session")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's home is an empty folder: skills, settings of git and of shells there would be part of the results."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        yield folder


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio."""
    return "asyncio"


def fixture_rollouts(pattern: str = "*") -> list[Path]:
    """Recorded and hand-made rollout files, sorted; `pattern` is a glob on the name without `.jsonl`."""
    return sorted(ROLLOUTS.glob(f"{pattern}.jsonl"))
