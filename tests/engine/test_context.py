"""What the model is told about its surroundings: everything at first, later only what changed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import settings as started
from engine.context import Environment, changes, initial
from engine.context.permissions_text import permissions_text
from engine.settings import Settings, configure, with_turn
from engine.settings_forms import turn_context
from projections import protocol as p
from projections.messages import is_context, is_user_input
from rollouts import events as ev

ENVIRONMENT = Environment("2026-04-20", "Europe/Berlin", "zsh")
CONFIG = 'model = "gpt-5.4"\nmodel_provider = "demo"\napproval_policy = "never"\nsandbox_mode = "read-only"\n'


def start(folder: Path, config: str = "", **params: Any) -> Settings:
    home, cwd = folder / "home", folder / "work"
    for made in (home, cwd):
        made.mkdir(exist_ok=True)
    (home / "config.toml").write_text(CONFIG + config)
    decoded = msgspec.convert({"cwd": str(cwd), **params}, p.ThreadStartParams)
    return started.start(decoded, configure(home, {}, decoded, cwd), "client")


def turn(settings: Settings, **params: Any) -> Settings:
    decoded = msgspec.convert({"threadId": "t", "input": [], **params}, p.TurnStartParams)
    return with_turn(settings, decoded, settings.cwd)


def texts(messages: list[ev.Message]) -> list[tuple[str, list[str]]]:
    parts = [[part.text for part in m.content if isinstance(part, ev.InputText)] for m in messages]
    return list(zip([message.role for message in messages], parts, strict=True))


def tags(messages: list[ev.Message]) -> list[tuple[str, list[str]]]:
    """Roles, and the opening tag or the whole text of each part."""
    return [
        (role, [text.split(">")[0] + ">" if text.startswith("<") else text for text in parts])
        for role, parts in texts(messages)
    ]


def since(before: Settings, after: Settings, environment: Environment = ENVIRONMENT) -> list[ev.Message]:
    return changes(turn_context(before, "U", ENVIRONMENT), after, environment)


# --- the first context ------------------------------------------------------------------------------------------


def test_a_fresh_thread_is_told_everything_in_two_messages(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "AGENTS.md").write_text("agents text")
    mode = {"mode": "plan", "settings": {"model": "gpt-5.4", "developer_instructions": "PLAN"}}
    settings = turn(start(tmp_path, developerInstructions="DEV"), collaborationMode=mode)
    messages = initial(settings, ENVIRONMENT, ["<skills_instructions>\nx\n</skills_instructions>"])
    developer, user = texts(messages)
    assert developer[0] == "developer"
    assert developer[1][0].startswith("<permissions instructions>\n")
    assert developer[1][0].endswith("\n</permissions instructions>")
    assert developer[1][1:] == [
        "DEV",
        "<collaboration_mode>PLAN</collaboration_mode>",
        "<skills_instructions>\nx\n</skills_instructions>",
    ]
    cwd = tmp_path / "work"
    assert user == (
        "user",
        [
            f"# AGENTS.md instructions for {cwd}\n\n<INSTRUCTIONS>\nagents text\n</INSTRUCTIONS>",
            f"<environment_context>\n  <cwd>{cwd}</cwd>\n  <shell>zsh</shell>\n"
            "  <current_date>2026-04-20</current_date>\n  <timezone>Europe/Berlin</timezone>\n"
            "</environment_context>",
        ],
    )


def test_what_is_empty_or_switched_off_is_left_out(tmp_path: Path) -> None:
    off = "include_permissions_instructions = false\ninclude_environment_context = false\n"
    assert initial(start(tmp_path, off), ENVIRONMENT) == []
    assert texts(initial(start(tmp_path, off, developerInstructions="D"), ENVIRONMENT)) == [("developer", ["D"])]
    assert texts(initial(start(tmp_path, off, developerInstructions=""), ENVIRONMENT)) == []


def test_context_is_not_taken_for_user_input(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "AGENTS.md").write_text("x")
    before = start(tmp_path)
    switched = turn(before, model="gpt-5.2", cwd="sub")
    for message in [*initial(before, ENVIRONMENT), *since(before, switched)]:
        assert is_context(message)
        assert not is_user_input(message)


# --- changes ----------------------------------------------------------------------------------------------------


def test_nothing_changed_means_nothing_told(tmp_path: Path) -> None:
    settings = start(tmp_path)
    assert since(settings, settings) == []


def test_changes_come_in_one_developer_message_in_a_fixed_order(tmp_path: Path) -> None:
    before = start(tmp_path)
    mode = {"mode": "plan", "settings": {"model": "gpt-5.2", "developer_instructions": "PLAN"}}
    after = turn(before, collaborationMode=mode, approvalPolicy="on-request", personality="friendly", cwd="sub")
    assert tags(since(before, after)) == [
        ("developer", ["<model_switch>", "<permissions instructions>", "<collaboration_mode>"]),
        ("user", ["<environment_context>"]),
    ]


def test_a_model_switch_carries_the_new_models_instructions_or_the_given_ones(tmp_path: Path) -> None:
    before = start(tmp_path)
    [(_, [text])] = texts(since(before, turn(before, model="gpt-5.2")))
    assert turn(before, model="gpt-5.2").info.instructions("pragmatic") in text
    given = start(tmp_path, baseInstructions="BASE")
    [(_, [text])] = texts(since(given, turn(given, model="gpt-5.2")))
    assert text.endswith("\n\nBASE\n</model_switch>")


@pytest.mark.parametrize(
    "params",
    [
        {"approvalPolicy": "on-request"},
        {"sandboxPolicy": {"type": "dangerFullAccess"}},
        {"sandboxPolicy": {"type": "readOnly", "networkAccess": True}},
        {"permissionProfile": {"type": "disabled"}},
    ],
)
def test_new_permissions_are_told(tmp_path: Path, params: dict[str, Any]) -> None:
    before = start(tmp_path)
    assert tags(since(before, turn(before, **params))) == [("developer", ["<permissions instructions>"])]


def test_a_new_cwd_changes_what_may_be_written(tmp_path: Path) -> None:
    before = start(tmp_path, sandbox="workspace-write")
    assert tags(since(before, turn(before, cwd="sub"))) == [
        ("developer", ["<permissions instructions>"]),
        ("user", ["<environment_context>"]),
    ]


def test_files_of_old_versions_have_no_profile_to_compare(tmp_path: Path) -> None:
    settings = start(tmp_path)
    old = msgspec.structs.replace(turn_context(settings, "U", ENVIRONMENT), permission_profile=msgspec.UNSET)
    assert changes(old, settings, ENVIRONMENT) == []


def test_a_mode_without_text_is_not_told(tmp_path: Path) -> None:
    before = start(tmp_path)
    silent = {"mode": "plan", "settings": {"model": "gpt-5.4", "developer_instructions": ""}}
    assert since(before, turn(before, collaborationMode=silent)) == []


def test_a_new_effort_repeats_the_mode_it_is_part_of(tmp_path: Path) -> None:
    before = start(tmp_path)
    assert since(before, turn(before, effort="high")) == []
    mode = {"mode": "plan", "settings": {"model": "gpt-5.4", "developer_instructions": "PLAN"}}
    planning = turn(before, collaborationMode=mode)
    assert tags(since(planning, turn(planning, effort="high"))) == [("developer", ["<collaboration_mode>"])]


def test_a_new_manner_is_told_to_models_that_have_manners(tmp_path: Path) -> None:
    before = start(tmp_path)
    friendly = turn(before, personality="friendly")
    assert tags(since(before, friendly)) == [("developer", ["<personality_spec>"])]
    assert since(friendly, turn(friendly, personality="none")) == []
    without = start(tmp_path, model="gpt-5.2")
    assert since(without, turn(without, personality="friendly")) == []
    off = start(tmp_path, "[features]\npersonality = false\n")
    assert since(off, turn(off, personality="friendly")) == []


def test_a_new_date_is_told_without_the_cwd(tmp_path: Path) -> None:
    settings = start(tmp_path)
    tomorrow = Environment("2026-04-21", "Europe/Berlin", "zsh")
    assert texts(since(settings, settings, tomorrow)) == [
        (
            "user",
            [
                "<environment_context>\n  <shell>zsh</shell>\n  <current_date>2026-04-21</current_date>\n"
                "  <timezone>Europe/Berlin</timezone>\n</environment_context>"
            ],
        )
    ]
    assert since(settings, settings, Environment("2026-04-20", "Etc/UTC", "zsh")) != []


def test_a_new_cwd_does_not_bring_new_instructions(tmp_path: Path) -> None:
    (tmp_path / "work" / "sub").mkdir(parents=True)
    (tmp_path / "work" / "AGENTS.md").write_text("A")
    (tmp_path / "work" / "sub" / "AGENTS.md").write_text("B")
    before = start(tmp_path)
    moved = turn(before, cwd="sub")
    assert tags(since(before, moved)) == [("user", ["<environment_context>"])]
    assert turn_context(moved, "U", ENVIRONMENT).user_instructions == "A"


# --- permissions ------------------------------------------------------------------------------------------------


def test_permissions_name_mode_network_policy_and_roots() -> None:
    sandbox = p.WorkspaceWriteSandboxPolicy(network_access=True)
    text = permissions_text(sandbox, "untrusted", "user", ["/a", "/b"])
    for expected in ("`workspace-write`", "Network access is enabled", "`/a`, `/b`", "`unless-trusted`"):
        assert expected in text
    assert "Network access is restricted" in permissions_text(p.ReadOnlySandboxPolicy(), "never", "user", [])


def test_a_reviewer_is_named_only_where_something_can_be_asked() -> None:
    assert "auto_review" in permissions_text(p.ReadOnlySandboxPolicy(), "on-request", "auto_review", [])
    assert "auto_review" not in permissions_text(p.ReadOnlySandboxPolicy(), "never", "auto_review", [])


def test_a_granular_policy_names_what_may_be_asked() -> None:
    granular = p.AskForApprovalGranular(sandbox_approval=False, rules=True, mcp_elicitations=False)
    policy = p.GranularAskForApproval(granular=granular)
    text = permissions_text(p.ReadOnlySandboxPolicy(), policy, "user", [])
    assert "a rule puts up for approval" in text
    assert "outside the sandbox" not in text
