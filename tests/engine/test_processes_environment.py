"""What commands inherit of the server's environment, as the reference was seen to do it."""

from __future__ import annotations

import pytest

from engine.processes.environment import EnvironmentPolicy, environment, plain_output

OURS = {
    "PATH": "/bin",
    "HOME": "/h",
    "LC_ALL": "C",
    "LC_TIME": "C",
    "TERM": "xterm",
    "FOO": "foo",
    "BAR": "bar",
    "FOO_KEY": "k",
    "SECRET_X": "x",
    "my_token": "t",
}


def names(**policy: object) -> set[str]:
    return set(environment(EnvironmentPolicy(**policy), OURS))  # type: ignore[arg-type]


def test_all_is_inherited_by_default() -> None:
    assert environment(EnvironmentPolicy(), OURS) == OURS


def test_secrets_go_when_asked_for() -> None:
    assert names(ignore_default_excludes=False) == set(OURS) - {"FOO_KEY", "SECRET_X", "my_token"}


def test_the_core_is_what_a_shell_needs() -> None:
    assert names(inherit="core") == {"PATH", "HOME", "LC_ALL"}


def test_what_is_set_is_set_even_when_nothing_is_inherited() -> None:
    assert environment(EnvironmentPolicy(inherit="none", exclude=("P*",), set={"PX": "p"}), OURS) == {"PX": "p"}


def test_patterns_know_stars_and_question_marks_only_and_no_case() -> None:
    assert names(exclude=("foo*", "*X", "L?_ALL"), include_only=("F*", "PATH", "*_x", "bar", "L*", "T[EM]*")) == {
        "PATH",
        "BAR",
        "LC_TIME",
    }


def test_what_is_set_must_be_included_too() -> None:
    assert names(include_only=("L*",), set={"SETX": "1", "LATE": "2"}) == {"LC_ALL", "LC_TIME", "LATE"}


def test_the_thread_is_always_named() -> None:
    found = environment(EnvironmentPolicy(inherit="none", include_only=("X",)), OURS, "thread-1")
    assert found == {"CODEX_THREAD_ID": "thread-1"}


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("LC_ALL", "C.UTF-8"), ("PAGER", "cat"), ("FOO", "foo")])
def test_output_for_a_model_is_plain(name: str, value: str) -> None:
    assert plain_output(OURS)[name] == value
