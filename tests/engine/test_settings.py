"""Settings: what a start, resume or fork makes of configuration and parameters, and what turns change."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine import settings as subject
from engine.context import Environment
from engine.errors import BadRequest
from engine.settings import Settings, Stored, configure, lasting, with_turn
from engine.settings_forms import response_fields, sandbox_tag, session_meta, turn_context
from projections import protocol as p
from rollouts import codec
from rollouts import events as ev

ENVIRONMENT = Environment("2026-04-20", "Etc/UTC", "bash")
BASE = 'model = "gpt-5.4"\nmodel_provider = "demo"\napproval_policy = "never"\nsandbox_mode = "danger-full-access"\n'
ROOT_READ = {"path": {"type": "special", "value": {"kind": "root"}}, "access": "read"}


class Place:
    """A home and a workspace, and the threads started there."""

    def __init__(self, folder: Path) -> None:
        self.home, self.cwd = folder / "home", folder / "work"
        self.home.mkdir()
        self.cwd.mkdir()
        self.config(BASE)

    def config(self, text: str) -> None:
        (self.home / "config.toml").write_text(text)

    def start(self, flags: Mapping[str, object] | None = None, **params: Any) -> Settings:
        decoded = msgspec.convert({"cwd": str(self.cwd), **params}, p.ThreadStartParams)
        config = configure(self.home, flags or {}, decoded, self.cwd)
        return subject.start(decoded, config, "client")

    def resume(self, stored: Stored, **params: Any) -> Settings:
        decoded = msgspec.convert({"threadId": "t", **params}, p.ThreadResumeParams)
        return subject.start(decoded, configure(self.home, {}, decoded, self.cwd, stored), "client", stored)

    def turn(self, settings: Settings, **params: Any) -> Settings:
        decoded = msgspec.convert({"threadId": "t", "input": [], **params}, p.TurnStartParams)
        return with_turn(settings, decoded, self.cwd)

    def written(self, settings: Settings) -> dict[str, Any]:
        """The payload of the settings' `turn_context` line."""
        line = codec.encode(turn_context(settings, "U", ENVIRONMENT), "2026-04-20T10:00:00.000Z")
        payload: dict[str, Any] = msgspec.json.decode(line)["payload"]
        return payload


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def answer(settings: Settings) -> dict[str, Any]:
    """The members of an answer as clients get them."""
    thread = msgspec.json.decode(
        b'{"id":"t","preview":"","ephemeral":false,"modelProvider":"x","createdAt":0,"updatedAt":0,'
        b'"status":{"type":"idle"},"cwd":"/","cliVersion":"0","source":"vscode","turns":[]}',
        type=p.Thread,
    )
    response = p.ThreadStartResponse(thread=thread, **response_fields(settings))
    fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(response))
    del fields["thread"]
    return fields


# --- starting ---------------------------------------------------------------------------------------------------


def test_the_answer_to_a_start(place: Place) -> None:
    (place.cwd / "AGENTS.md").write_text("hello")
    assert answer(place.start()) == {
        "model": "gpt-5.4",
        "modelProvider": "demo",
        "serviceTier": None,
        "cwd": str(place.cwd),
        "instructionSources": [str(place.cwd / "AGENTS.md")],
        "approvalPolicy": "never",
        "approvalsReviewer": "user",
        "sandbox": {"type": "dangerFullAccess"},
        "permissionProfile": {"type": "disabled"},
        "reasoningEffort": None,
    }


def test_the_first_turn_context_has_the_keys_of_the_reference_in_its_order(place: Place) -> None:
    (place.cwd / "AGENTS.md").write_text("agents text")
    started = place.start(baseInstructions="BASE", developerInstructions="DEV", model="gpt-5.2")
    turn = place.turn(started, effort="low", summary="concise", outputSchema={"type": "object"})
    assert list(place.written(turn).items()) == [
        ("turn_id", "U"),
        ("cwd", str(place.cwd)),
        ("current_date", "2026-04-20"),
        ("timezone", "Etc/UTC"),
        ("approval_policy", "never"),
        ("sandbox_policy", {"type": "danger-full-access"}),
        ("permission_profile", {"type": "disabled"}),
        ("model", "gpt-5.2"),
        ("personality", "pragmatic"),
        (
            "collaboration_mode",
            {
                "mode": "default",
                "settings": {"model": "gpt-5.2", "reasoning_effort": "low", "developer_instructions": None},
            },
        ),
        ("realtime_active", False),
        ("effort", "low"),
        ("summary", "concise"),
        ("user_instructions", "agents text"),
        ("developer_instructions", "DEV"),
        ("final_output_json_schema", {"type": "object"}),
        ("truncation_policy", {"mode": "bytes", "limit": 10000}),
    ]
    assert started.base_instructions == "BASE"


def test_the_summary_and_the_truncation_are_the_models(place: Place) -> None:
    written = place.written(place.start())
    assert written["summary"] == "none"
    assert written["truncation_policy"] == {"mode": "tokens", "limit": 10000}
    assert "effort" not in written


def test_an_unknown_model_has_fallback_metadata(place: Place) -> None:
    written = place.written(place.start(model="gpt-5.1-codex"))
    assert (written["summary"], written["truncation_policy"]["mode"]) == ("auto", "bytes")


def test_workspace_write_names_its_roots_and_what_stays_read_only(place: Place) -> None:
    place.config(f'{BASE}[sandbox_workspace_write]\nwritable_roots = ["/srv"]\nnetwork_access = true\n')
    (place.cwd / ".git").mkdir()
    memories = str(place.home / "memories")
    settings = place.start(sandbox="workspace-write")
    assert answer(settings)["sandbox"] == {
        "type": "workspaceWrite",
        "writableRoots": ["/srv", memories],
        "readOnlyAccess": {"type": "fullAccess"},
        "networkAccess": True,
        "excludeTmpdirEnvVar": False,
        "excludeSlashTmp": False,
    }
    entries = place.written(settings)["permission_profile"]["file_system"]["entries"]
    assert [entry for entry in entries if entry["path"]["type"] == "path"] == [
        {"path": {"type": "path", "path": path}, "access": access}
        for path, access in [
            ("/srv", "write"),
            (memories, "write"),
            (str(place.cwd / ".git"), "read"),
            (str(place.cwd / ".codex"), "read"),
        ]
    ]


@pytest.mark.parametrize(
    ("level", "sandbox", "approval"),
    [
        (None, "readOnly", "on-request"),
        ("trusted", "workspaceWrite", "on-request"),
        ("untrusted", "workspaceWrite", "untrusted"),
    ],
)
def test_without_configuration_the_trust_decides(place: Place, level: str | None, sandbox: str, approval: str) -> None:
    trust = f'[projects."{place.cwd}"]\ntrust_level = "{level}"\n' if level else ""
    place.config(f'model_provider = "demo"\n{trust}')
    fields = answer(place.start())
    assert (fields["sandbox"]["type"], fields["approvalPolicy"]) == (sandbox, approval)
    assert fields["model"] == "gpt-5.5"


@pytest.mark.parametrize(
    ("config", "params", "recorded"),
    [
        ("", {"sandbox": "workspace-write"}, True),
        ("", {"sandbox": "danger-full-access"}, True),
        ('sandbox_mode = "workspace-write"\n', {}, True),
        ('sandbox_mode = "workspace-write"\n', {"sandbox": "read-only"}, False),
        ('sandbox_mode = "workspace-write"\n', {"cwd": None}, False),
        ("", {}, False),
    ],
)
def test_a_start_that_may_write_records_its_folder_as_trusted(
    place: Place, config: str, params: dict[str, Any], recorded: bool
) -> None:
    place.config(f'model_provider = "demo"\n{config}')
    assert (place.start(**params).config.trust == "trusted") is recorded
    assert ("trusted" in (place.home / "config.toml").read_text()) is recorded


def test_trust_that_cannot_be_recorded_holds_for_the_thread(place: Place) -> None:
    place.config('model_provider = "demo"\n')
    (place.home / f".config.toml.{os.getpid()}").mkdir()
    assert place.start(sandbox="workspace-write").config.trust == "trusted"
    assert "projects" not in (place.home / "config.toml").read_text()


def test_a_folder_that_was_refused_trust_keeps_it_refused(place: Place) -> None:
    place.config(f'model_provider = "demo"\n[projects."{place.cwd}"]\ntrust_level = "untrusted"\n')
    assert place.start(sandbox="workspace-write").config.trust == "untrusted"


def test_a_relative_cwd_starts_at_the_servers(place: Place) -> None:
    assert place.start(cwd="no/./such/../folder").cwd == place.cwd / "no" / "folder"


def test_a_null_service_tier_clears_the_configured_one(place: Place) -> None:
    place.config(f'{BASE}service_tier = "fast"\n')
    assert place.start().service_tier == "fast"
    assert place.start(serviceTier=None).service_tier is None
    assert place.start(serviceTier="flex").service_tier == "flex"


def test_an_automatic_reviewer_keeps_its_old_published_name(place: Place) -> None:
    for name in ("auto_review", "guardian_subagent"):
        settings = place.start(approvalsReviewer=name)
        assert settings.approvals_reviewer == "auto_review"
        assert answer(settings)["approvalsReviewer"] == "guardian_subagent"


def test_a_granular_approval_policy_is_echoed_with_all_its_members(place: Place) -> None:
    granular = {"sandbox_approval": True, "rules": False, "mcp_elicitations": True}
    settings = place.start(approvalPolicy={"granular": granular})
    full = {"granular": {**granular, "skill_approval": False, "request_permissions": False}}
    assert answer(settings)["approvalPolicy"] == full
    assert place.written(settings)["approval_policy"] == full


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"sandbox": "read-only", "permissionProfile": {"type": "disabled"}},
            "`permissionProfile` cannot be combined with `sandbox`",
        ),
        ({"modelProvider": "x"}, "failed to load configuration: Model provider `x` not found"),
        (
            {"config": {"model": 5}},
            "failed to load configuration: invalid type: integer `5`, expected a string\nin `model`\n",
        ),
    ],
)
def test_a_start_that_cannot_be_served_is_a_bad_request(place: Place, params: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        place.start(**params)
    assert caught.value.message == message


def test_a_profile_with_a_writable_workspace_may_write_notes_too(place: Place) -> None:
    cwd = {"path": {"type": "special", "value": {"kind": "current_working_directory"}}, "access": "write"}
    files = {"type": "restricted", "entries": [ROOT_READ, cwd]}
    wanted = {"type": "managed", "network": {"enabled": False}, "fileSystem": files}
    fields = answer(place.start(permissionProfile=wanted))
    memories = str(place.home / "memories")
    added = {"path": {"type": "path", "path": memories}, "access": "write"}
    assert fields["permissionProfile"]["fileSystem"]["entries"] == [ROOT_READ, cwd, added]
    assert fields["sandbox"]["writableRoots"] == [memories]


def test_a_profile_that_no_policy_can_express_is_refused(place: Place) -> None:
    entry = {"path": {"type": "path", "path": "/opt"}, "access": "write"}
    files = {"type": "restricted", "entries": [entry]}
    with pytest.raises(BadRequest, match=r"failed to load configuration: invalid permission_profile override"):
        place.start(permissionProfile={"type": "managed", "network": {"enabled": True}, "fileSystem": files})


def test_the_first_line_of_a_thread(place: Place) -> None:
    tool = {"name": "t", "description": "d", "inputSchema": {"type": "object", "b": 1, "a": 2}}
    settings = place.start(baseInstructions="BASE", dynamicTools=[tool], persistExtendedHistory=True)
    git = ev.GitInfo(commit_hash="c")
    line = codec.encode(session_meta(settings, "T", "2026-04-20T10:00:00.000Z", git), "2026-04-20T10:00:01.000Z")
    payload = msgspec.json.decode(line)["payload"]
    assert list(payload.items()) == [
        ("id", "T"),
        ("timestamp", "2026-04-20T10:00:00.000Z"),
        ("cwd", str(place.cwd)),
        ("originator", "client"),
        ("cli_version", "0.125.0"),
        ("source", "vscode"),
        ("model_provider", "demo"),
        ("base_instructions", {"text": "BASE"}),
        ("dynamic_tools", [{**tool, "deferLoading": False}]),
        ("git", {"commit_hash": "c"}),
    ]
    assert settings.persist_extended


# --- resuming ---------------------------------------------------------------------------------------------------


def stored(place: Place, **changes: Any) -> Stored:
    """A thread of gpt-5.2 with effort high that asked on request in a read-only sandbox."""
    began = place.start(model="gpt-5.2", sandbox="read-only", approvalPolicy="on-request")
    last = turn_context(place.turn(began, effort="high"), "U", ENVIRONMENT)
    return Stored(**{"cwd": place.cwd / "sub", "base_instructions": "STORED", "last": last, **changes})


def test_a_resume_restores_folder_model_and_effort_and_nothing_else(place: Place) -> None:
    fields = answer(place.resume(stored(place)))
    assert (fields["model"], fields["reasoningEffort"]) == ("gpt-5.2", "high")
    assert fields["cwd"] == str(place.cwd / "sub")
    assert (fields["approvalPolicy"], fields["sandbox"]["type"]) == ("never", "dangerFullAccess")


@pytest.mark.parametrize(
    ("params", "model", "effort"),
    [
        ({"model": "gpt-5.5"}, "gpt-5.5", None),
        ({"modelProvider": "demo"}, "gpt-5.4", None),
        ({"config": {"model_reasoning_effort": "minimal"}}, "gpt-5.4", "minimal"),
        ({"config": {"model": "gpt-5.5"}}, "gpt-5.5", None),
        ({"config": {"model_verbosity": "high"}}, "gpt-5.2", "high"),
    ],
)
def test_a_resume_that_says_something_about_the_model_restores_neither(
    place: Place, params: dict[str, Any], model: str, effort: str | None
) -> None:
    settings = place.resume(stored(place), **params)
    assert (settings.model, settings.effort) == (model, effort)


def test_base_instructions_of_the_history_stay_unless_overridden(place: Place) -> None:
    assert place.resume(stored(place)).base_instructions == "STORED"
    assert place.resume(stored(place), baseInstructions="NEW").base_instructions == "NEW"
    assert place.resume(stored(place, base_instructions=None)).base_instructions not in ("", "STORED")


def test_a_fork_takes_model_and_effort_from_the_configuration(place: Place) -> None:
    source = stored(place, last=None)
    params = msgspec.convert({"threadId": "t", "ephemeral": True}, p.ThreadForkParams)
    forked = subject.start(params, configure(place.home, {}, params, place.cwd, source), "client", source)
    assert (forked.model, forked.effort, forked.ephemeral) == ("gpt-5.4", None, True)


def test_a_resume_records_no_trust(place: Place) -> None:
    place.config('model_provider = "demo"\n')
    place.resume(stored(place), cwd=str(place.cwd), sandbox="danger-full-access")
    assert "projects" not in (place.home / "config.toml").read_text()


# --- turns ------------------------------------------------------------------------------------------------------


def test_what_a_turn_overrides_stays_but_for_its_schema(place: Place) -> None:
    first = place.turn(
        place.start(),
        model="gpt-5.2",
        effort="high",
        personality="friendly",
        approvalPolicy="on-request",
        sandboxPolicy={"type": "readOnly"},
        outputSchema={"b": 1, "a": 2},
    )
    written = place.written(first)
    assert list(written["final_output_json_schema"]) == ["b", "a"]
    second = place.written(place.turn(lasting(first, place.start())))
    assert second == {key: value for key, value in written.items() if key != "final_output_json_schema"}
    assert second["sandbox_policy"] == {"type": "read-only"}
    assert second["permission_profile"] == {
        "type": "managed",
        "file_system": {"type": "restricted", "entries": [ROOT_READ]},
        "network": "restricted",
    }


def test_nulls_of_a_turn_change_nothing_but_the_service_tier(place: Place) -> None:
    started = place.start(serviceTier="fast", personality="friendly")
    same = place.turn(started, model=None, effort=None, cwd=None, personality=None, sandboxPolicy=None)
    assert place.written(same) == place.written(started)
    assert same.service_tier == "fast"
    assert place.turn(started, serviceTier=None).service_tier is None


def test_a_new_cwd_starts_at_the_servers_and_moves_the_profile(place: Place) -> None:
    started = place.start(cwd=str(place.cwd / "deep"), sandbox="workspace-write")
    moved = place.written(place.turn(started, cwd="x"))
    assert moved["cwd"] == str(place.cwd / "x")
    assert moved["permission_profile"]["file_system"]["entries"][-1]["path"]["path"] == f"{place.cwd}/x/.codex"
    assert place.turn(started, cwd="~/y").cwd == Path("~/y").expanduser()


def test_a_mode_brings_model_effort_and_text_and_wins_over_single_parameters(place: Place) -> None:
    mode = {"mode": "plan", "settings": {"model": "gpt-5.2", "reasoning_effort": "low"}}
    turn = place.turn(place.start(), collaborationMode=mode, model="gpt-5.5", effort="high")
    written = place.written(turn)
    assert (written["model"], written["effort"]) == ("gpt-5.2", "low")
    assert "<proposed_plan>" in written["collaboration_mode"]["settings"]["developer_instructions"]
    own = {"mode": "plan", "settings": {"model": "gpt-5.2", "developer_instructions": "MINE"}}
    assert place.turn(turn, collaborationMode=own).mode_instructions == "MINE"
    assert place.turn(turn, collaborationMode=own).effort is None


def test_effort_and_model_change_within_a_mode(place: Place) -> None:
    mode = {"mode": "plan", "settings": {"model": "gpt-5.4", "developer_instructions": "X"}}
    turn = place.turn(place.turn(place.start(), collaborationMode=mode), effort="high")
    assert place.written(turn)["collaboration_mode"] == {
        "mode": "plan",
        "settings": {"model": "gpt-5.4", "reasoning_effort": "high", "developer_instructions": "X"},
    }


def test_a_turn_cannot_set_policy_and_profile(place: Place) -> None:
    with pytest.raises(BadRequest) as caught:
        place.turn(place.start(), sandboxPolicy={"type": "readOnly"}, permissionProfile={"type": "disabled"})
    assert caught.value.message == "`permissionProfile` cannot be combined with `sandboxPolicy`"


@pytest.mark.parametrize(
    ("policy", "core", "profile", "tag"),
    [
        ({"type": "dangerFullAccess"}, {"type": "danger-full-access"}, {"type": "disabled"}, "none"),
        (
            {"type": "externalSandbox", "networkAccess": "enabled"},
            {"type": "external-sandbox", "network_access": "enabled"},
            {"type": "external", "network": "enabled"},
            "external",
        ),
        (
            {"type": "readOnly", "networkAccess": True},
            {"type": "read-only", "network_access": True},
            {
                "type": "managed",
                "file_system": {"type": "restricted", "entries": [ROOT_READ]},
                "network": "enabled",
            },
            "seccomp",
        ),
    ],
)
def test_policies_of_a_turn_as_its_line_records_them(
    place: Place, policy: dict[str, Any], core: dict[str, Any], profile: dict[str, Any], tag: str
) -> None:
    turn = place.turn(place.start(), sandboxPolicy=policy)
    written = place.written(turn)
    assert (written["sandbox_policy"], written["permission_profile"]) == (core, profile)
    assert sandbox_tag(turn.sandbox) == tag
