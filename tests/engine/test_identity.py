"""How the engine names itself."""

import pytest

from engine.identity import three_parts, user_agent


@pytest.mark.parametrize(
    ("given", "shown"),
    [("12", "12.0.0"), ("22.04", "22.4.0"), ("3.19.1", "3.19.1"), ("1.2.3.4", "1.2.3.4"), ("unknown", "unknown")],
)
def test_the_version_of_the_system_has_three_parts(given: str, shown: str) -> None:
    assert three_parts(given) == shown


@pytest.mark.parametrize(
    ("name", "version", "shown"),
    [
        ("é", "", "é/0.125.0 ( é;"),
        (" ", "1", " /0.125.0 ( ; 1"),
        ("é", "1 é\n2", "_/0.125.0 ( _; 1 __2"),
        ("a\tb", "1", "a\tb/0.125.0 ( a\tb; 1"),
    ],
)
def test_a_client_may_call_itself_what_it_likes(name: str, version: str, shown: str) -> None:
    agent = user_agent(name, name, version, {"TERM": "xterm"})
    first, _, last = agent.partition("(")
    assert f"{first}( {last.rpartition('(')[2][:-1]}" == shown


def test_clients_find_a_name_and_a_version_first() -> None:
    agent = user_agent("first", "second", "1.0", {"TERM": "xterm"})
    assert agent.startswith("first/0.125.0 (")
    assert agent.endswith(") xterm (second; 1.0)")
