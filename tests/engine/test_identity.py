"""How the engine names itself."""

import pytest

from engine.identity import three_parts, user_agent


@pytest.mark.parametrize(
    ("given", "shown"),
    [("12", "12.0.0"), ("22.04", "22.4.0"), ("3.19.1", "3.19.1"), ("1.2.3.4", "1.2.3.4"), ("unknown", "unknown")],
)
def test_the_version_of_the_system_has_three_parts(given: str, shown: str) -> None:
    assert three_parts(given) == shown


def test_clients_find_a_name_and_a_version_first() -> None:
    agent = user_agent("first", "second", "1.0", {"TERM": "xterm"})
    assert agent.startswith("first/0.125.0 (")
    assert agent.endswith(") xterm (second; 1.0)")
