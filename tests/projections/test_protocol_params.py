"""What clients send decodes as the reference decodes it; the tables of methods are complete and consistent."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest

from projections import protocol as p
from projections.protocol.base import OneOf
from tests.schema import schemas
from tools.protocol.overrides import ADDED


def decode(method: str, params: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(params), type=p.CLIENT_METHODS[method][0])


TERMINAL_CLIENT = {
    "initialize": {
        "clientInfo": {"name": "codex-tui", "title": None, "version": "0.125.0"},
        "capabilities": {"experimentalApi": True, "optOutNotificationMethods": None},
    },
    "account/read": {"refreshToken": False},
    "model/list": {"cursor": None, "limit": None, "includeHidden": True},
    "thread/start": {
        "model": "gpt-5.1-codex",
        "approvalPolicy": "never",
        "approvalsReviewer": "user",
        "sandbox": "danger-full-access",
        "ephemeral": False,
        "sessionStartSource": None,
        "experimentalRawEvents": False,
        "persistExtendedHistory": True,
        "modelProvider": None,
        "cwd": None,
        "permissionProfile": None,
        "config": None,
        "serviceName": None,
        "baseInstructions": None,
        "developerInstructions": None,
        "personality": None,
        "environments": None,
        "dynamicTools": None,
        "mockExperimentalField": None,
    },
    "turn/start": {
        "threadId": "t",
        "input": [{"type": "text", "text": "hi", "text_elements": []}],
        "cwd": "/workspace/demo",
        "approvalPolicy": "never",
        "approvalsReviewer": "user",
        "sandboxPolicy": {"type": "dangerFullAccess"},
        "model": "gpt-5.1-codex",
        "effort": None,
        "collaborationMode": {
            "mode": "default",
            "settings": {"model": "m", "reasoning_effort": None, "developer_instructions": None},
        },
        "responsesapiClientMetadata": None,
        "environments": None,
        "permissionProfile": None,
        "summary": None,
        "personality": None,
        "outputSchema": None,
    },
    "thread/list": {
        "cursor": None,
        "limit": 25,
        "sortKey": "updated_at",
        "sortDirection": None,
        "modelProviders": None,
        "sourceKinds": ["cli", "vscode"],
        "archived": False,
        "cwd": None,
        "searchTerm": None,
    },
    "skills/list": {"cwds": ["/w"], "forceReload": True, "perCwdExtraUserRoots": None},
}


@pytest.mark.parametrize("method", TERMINAL_CLIENT)
def test_what_the_terminal_client_sends_decodes(method: str) -> None:
    decode(method, TERMINAL_CLIENT[method])


def test_null_and_absent_are_the_same_for_most_params() -> None:
    assert decode("thread/list", {"limit": None, "cwd": None}) == decode("thread/list", {})


@pytest.mark.parametrize(
    ("method", "params", "read"),
    [
        ("thread/start", {}, lambda q: q.service_tier),
        ("thread/resume", {"threadId": "t"}, lambda q: q.service_tier),
        ("thread/fork", {"threadId": "t"}, lambda q: q.service_tier),
        ("turn/start", {"threadId": "t", "input": []}, lambda q: q.service_tier),
        ("thread/realtime/start", {"threadId": "t", "outputModality": "text"}, lambda q: q.prompt),
    ],
)
def test_null_differs_from_absent_where_it_clears_a_setting(method: str, params: Any, read: Any) -> None:
    key = "prompt" if "realtime" in method else "serviceTier"
    assert read(decode(method, params)) is msgspec.UNSET
    assert read(decode(method, params | {key: None})) is None


def test_a_git_info_member_is_kept_cleared_or_set() -> None:
    patch = decode("thread/metadata/update", {"threadId": "t", "gitInfo": {"sha": None, "branch": "main"}})
    assert (patch.git_info.sha, patch.git_info.branch) == (None, "main")
    assert patch.git_info.origin_url is msgspec.UNSET


def test_unknown_members_are_ignored() -> None:
    assert decode("thread/read", {"threadId": "t", "later": 1}) == p.ThreadReadParams(thread_id="t")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("thread/read", {}),
        ("thread/read", {"threadId": 3}),
        ("thread/read", {"threadId": "t", "includeTurns": None}),
        ("model/list", {"limit": -1}),
        ("model/list", {"limit": 2**32}),
        ("model/list", {"limit": "3"}),
        ("command/exec", {"command": ["x"], "size": {"rows": 70000, "cols": 1}}),
        ("fs/readFile", {"path": "relative"}),
        ("thread/list", {"sourceKinds": ["cli", "zz"]}),
        ("thread/start", {"approvalPolicy": "sometimes"}),
        ("thread/start", {"approvalPolicy": {"granular": {}}}),
        ("turn/start", {"threadId": "t", "input": [{"type": "zz"}]}),
        ("turn/start", {"threadId": "t", "input": [{"type": "text"}]}),
        ("account/login/start", {"type": "apiKey"}),
    ],
)
def test_bad_params_do_not_decode(method: str, params: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(method, params)


def test_response_items_are_handed_on_as_they_came() -> None:
    item = {"type": "later", "big": 12345678901234567890123, "x": [1.50]}
    params = decode("thread/inject_items", {"threadId": "t", "items": [item]})
    assert [bytes(raw) for raw in params.items] == [msgspec.json.encode(item)]
    history = decode("thread/resume", {"threadId": "t", "history": [item]}).history
    assert [bytes(raw) for raw in history] == [msgspec.json.encode(item)]


def test_both_names_of_the_client_metadata_decode() -> None:
    params = {"threadId": "t", "input": [], "responsesapiClientMetadata": {"a": "1"}, "clientMetadata": {}}
    decoded = decode("turn/start", params)
    assert (decoded.responsesapi_client_metadata, decoded.client_metadata) == ({"a": "1"}, {})


def structs() -> list[type[msgspec.Struct]]:
    values = [getattr(p, name) for name in p.__all__]
    return [v for v in values if isinstance(v, type) and issubclass(v, msgspec.Struct) and v is not p.Wire]


def test_every_type_can_be_decoded() -> None:
    for name in p.__all__:
        if not name.isupper() and "_" not in name:
            msgspec.json.Decoder(getattr(p, name))


def test_members_have_the_names_and_the_order_of_the_schema() -> None:
    definitions = schemas()["definitions"]
    plain = [s for s in structs() if "properties" in definitions.get(s.__name__, {})]
    assert len(plain) > 200
    for struct in plain:
        added = [key for key, *_ in ADDED.get(struct.__name__, ())]
        expected = [*definitions[struct.__name__]["properties"], *added]
        assert [field.encode_name for field in msgspec.structs.fields(struct)] == expected


def test_every_struct_is_frozen() -> None:
    assert all(struct.__struct_config__.frozen for struct in structs())
    assert any(issubclass(struct, OneOf) for struct in structs())


def test_client_methods_stand_in_the_order_of_the_error_text() -> None:
    methods = list(p.CLIENT_METHODS)
    assert methods[:4] == ["initialize", "thread/start", "thread/resume", "thread/fork"]
    assert methods[-1] == "fuzzyFileSearch/sessionStop"
    assert len(methods) == 89


def test_every_server_request_has_exactly_one_answer() -> None:
    requests = {s.__struct_config__.tag: s for s in typing.get_args(p.ServerRequest)}
    answers = {s.__struct_config__.tag: s for s in typing.get_args(p.ServerResponse)}
    assert list(requests) == list(answers) == list(p.SERVER_REQUESTS)
    assert len(typing.get_args(p.ServerResponse)) == len(p.SERVER_REQUESTS) == 9
    for method, (params, answer) in p.SERVER_REQUESTS.items():
        assert typing.get_type_hints(requests[method])["params"] == params
        assert typing.get_type_hints(answers[method])["response"] == answer


def test_server_requests_and_answers_are_tagged_by_method() -> None:
    request = p.FileChangeRequestApprovalServerRequest(
        id=0, params=p.FileChangeRequestApprovalParams(thread_id="t", turn_id="u", item_id="i")
    )
    text = msgspec.json.encode(request)
    assert text.startswith(b'{"method":"item/fileChange/requestApproval","id":0,"params":{"threadId":"t"')
    assert msgspec.json.decode(text, type=p.ServerRequest) == request
    answer = b'{"method":"item/fileChange/requestApproval","id":"a","response":{"decision":"cancel"}}'
    assert msgspec.json.encode(msgspec.json.decode(answer, type=p.ServerResponse)) == answer


def test_experimental_tables_name_methods_and_members_that_exist() -> None:
    assert p.CLIENT_METHODS.keys() >= p.EXPERIMENTAL_METHODS
    assert not p.EXPERIMENTAL_METHODS & p.EXPERIMENTAL_FIELDS.keys()
    for method, members in p.EXPERIMENTAL_FIELDS.items():
        names = {field.encode_name for field in msgspec.structs.fields(p.CLIENT_METHODS[method][0])}
        assert names >= members.keys()
    assert p.EXPERIMENTAL_FIELDS["thread/start"]["persistExtendedHistory"] == "persistFullHistory"
    assert p.EXPERIMENTAL_VARIANTS[p.GranularAskForApproval] == "askForApproval.granular"
