"""Fixtures of the interop tests: a mock model, and a place of its own for every test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.place import Place
from tests.interop.programs import Engine
from tests.mock_model import MockModel


@pytest.fixture
def model() -> Iterator[MockModel]:
    """The only model there is."""
    with MockModel() as served:
        yield served


@pytest.fixture
def place(tmp_path: Path, model: MockModel) -> Place:
    """Folders and configuration for servers and clients of this test."""
    made = Place(tmp_path.resolve())
    made.furnish(model.base_url)
    return made


@pytest.fixture
def engine() -> Engine:
    """The engine behind real clients: ours, or the reference to see whether a test is right."""
    return "reference" if os.environ.get("INTEROP_ENGINE") == "reference" else "ours"
