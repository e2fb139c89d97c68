"""The way of a request: order of checks, gates, answers and what follows them."""

from __future__ import annotations

import anyio
import pytest

from engine.appserver.dispatch import Context, Deferred, Reply, Responder
from engine.appserver.server import MAX_OPEN_REQUESTS
from engine.errors import BadRequest, BadValue, Internal
from engine.notes import Everyone, Notification
from projections import protocol as p
from rollouts.errors import LogError
from tests.appserver.fake_host import serving
from tests.schema import check_message

pytestmark = pytest.mark.anyio

TEXT = [{"type": "text", "text": "hi"}]


async def echo(ctx: Context, params: object) -> Reply:
    return Reply({})


# -- checks ----------------------------------------------------------------------------------------------------------


async def test_a_request_is_decoded_before_anything_else_is_asked() -> None:
    async with serving({"thread/list": echo}) as app:
        stranger = app.connect()
        assert (await stranger.error("nope/x")).startswith(
            "Invalid request: unknown variant `nope/x`, expected one of `initialize`, `thread/start`, `thread/resume`, "
        )
        assert await stranger.error("thread/list", {"limit": "x"}) == (
            'Invalid request: invalid type: string "x", expected u32'
        )
        assert await stranger.error("thread/list") == "Not initialized"


async def test_a_method_without_a_handler_says_so() -> None:
    async with serving() as app:
        client = await app.client()
        answer = await client.call("thread/list")
        assert answer["error"] == {"code": -32600, "message": "`thread/list` is not supported by this server yet"}


async def test_a_failed_initialize_may_be_repeated_a_successful_one_not() -> None:
    async with serving() as app:
        client = app.connect()
        bad = {"clientInfo": {"name": "a\nb", "version": "0"}}
        assert await client.error("initialize", {}) == "Invalid request: missing field `clientInfo`"
        assert await client.error("initialize", bad) == (
            "Invalid clientInfo.name: 'a\nb'. Must be a valid HTTP header value."
        )
        good = {"clientInfo": {"name": "é", "title": None, "version": "9"}, "capabilities": None}
        answer = await client.call("initialize", good)
        check_message(answer, answered="initialize")
        assert answer["result"] == {
            "userAgent": "é/0.125.0 (overrides {}) (9)",
            "codexHome": "/home",
            "platformFamily": "unix",
            "platformOs": "linux",
        }
        assert await client.error("initialize", good) == "Already initialized"
        assert await client.error("initialize", {}) == "Invalid request: missing field `clientInfo`"


async def test_initialize_counts_for_one_connection_only() -> None:
    async with serving({"thread/list": echo}) as app:
        await app.client()
        assert await app.connect().error("thread/list") == "Not initialized"


async def test_requests_may_follow_initialize_without_waiting_for_its_answer() -> None:
    async with serving({"thread/list": echo}) as app:
        client = app.connect()
        await client.send({"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "a", "version": "1"}}})
        await client.send({"id": 2, "method": "thread/list", "params": {}})
        assert [(await client.receive())["id"], await client.receive()] == [1, {"id": 2, "result": {}}]


GATED: dict[str, list[tuple[object, str]]] = {
    "mock/experimentalMethod": [({"value": "q"}, "mock/experimentalMethod")],
    "collaborationMode/list": [({}, "collaborationMode/list")],
    "thread/start": [
        ({"dynamicTools": []}, "thread/start.dynamicTools"),
        ({"environments": []}, "thread/start.environments"),
        ({"experimentalRawEvents": True}, "thread/start.experimentalRawEvents"),
        ({"mockExperimentalField": ""}, "thread/start.mockExperimentalField"),
        ({"persistExtendedHistory": True}, "thread/start.persistFullHistory"),
        (
            {"approvalPolicy": {"granular": {"sandbox_approval": True, "rules": True, "mcp_elicitations": True}}},
            "askForApproval.granular",
        ),
    ],
    "thread/resume": [
        ({"threadId": "t", "path": ""}, "thread/resume.path"),
        ({"threadId": "t", "history": []}, "thread/resume.history"),
    ],
    "turn/start": [
        ({"threadId": "t", "input": TEXT, "environments": []}, "turn/start.environments"),
        (
            {"threadId": "t", "input": TEXT, "responsesapiClientMetadata": {}},
            "turn/start.responsesapiClientMetadata",
        ),
        ({"threadId": "t", "input": TEXT, "clientMetadata": {}}, "turn/start.responsesapiClientMetadata"),
    ],
    "account/login/start": [
        (
            {"type": "chatgptAuthTokens", "accessToken": "a", "chatgptAccountId": "b"},
            "account/login/start.chatgptAuthTokens",
        )
    ],
}


@pytest.mark.parametrize(
    ("method", "params", "needed"), [(m, params, needed) for m, cases in GATED.items() for params, needed in cases]
)
async def test_experimental_methods_fields_and_values_need_the_capability(
    method: str, params: object, needed: str
) -> None:
    async with serving({method: echo}) as app:
        plain = await app.client(experimental=False)
        answer = await plain.call(method, params)
        assert answer["error"] == {"code": -32600, "message": f"{needed} requires experimentalApi capability"}
        assert await (await app.client()).call(method, params) == {"id": 1, "result": {}}


async def test_null_and_false_are_no_use_of_an_experimental_field() -> None:
    async with serving({"thread/start": echo}) as app:
        plain = await app.client(experimental=False)
        params = {"dynamicTools": None, "persistExtendedHistory": False, "environments": None}
        assert await plain.call("thread/start", params) == {"id": 1, "result": {}}


@pytest.mark.parametrize("name", ["turn/inject_items", "turn/injet_items", "thread/inject_items"])
async def test_other_names_of_inject_items(name: str) -> None:
    async def inject(ctx: Context, params: p.ThreadInjectItemsParams) -> Reply:
        return Reply({"thread": params.thread_id})

    async with serving({"thread/inject_items": inject}) as app:
        client = await app.client()
        answer = await client.call(name, {"threadId": "t", "items": []})
        assert answer["result"] == {"thread": "t"}


async def test_aliases_are_not_named_among_the_methods() -> None:
    async with serving() as app:
        assert "turn/inject_items" not in await (await app.client()).error("nope")


@pytest.mark.parametrize("method", ["turn/start", "turn/steer"])
async def test_client_metadata_under_either_name(method: str) -> None:
    async def metadata(ctx: Context, params: p.TurnStartParams | p.TurnSteerParams) -> Reply:
        return Reply(params.responsesapi_client_metadata)

    async with serving({method: metadata}) as app:
        client = await app.client()
        params = {"threadId": "t", "input": TEXT, "expectedTurnId": "u"}
        for name in ("clientMetadata", "responsesapiClientMetadata"):
            assert (await client.call(method, {**params, name: {"a": "b"}}))["result"] == {"a": "b"}
        both = {**params, "clientMetadata": {"a": "old"}, "responsesapiClientMetadata": {"a": "new"}}
        assert (await client.call(method, both))["result"] == {"a": "new"}


# -- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BadRequest("no"), {"code": -32600, "message": "no"}),
        (BadValue("no"), {"code": -32602, "message": "no"}),
        (
            BadValue("long", {"input_error_code": "input_too_large"}),
            {"code": -32602, "data": {"input_error_code": "input_too_large"}, "message": "long"},
        ),
        (Internal("disk"), {"code": -32603, "message": "disk"}),
        (
            PermissionError(13, "Permission denied", "/home/sessions"),
            {"code": -32603, "message": "/home/sessions: Permission denied (os error 13)"},
        ),
        (LogError("/r.jsonl", "torn", offset=7), {"code": -32603, "message": "/r.jsonl, offset 7: torn"}),
    ],
)
async def test_errors_of_the_engine_and_of_the_disk_keep_their_text(error: Exception, told: object) -> None:
    async def fail(ctx: Context, params: object) -> Reply:
        raise error

    async with serving({"thread/list": fail}) as app:
        assert (await (await app.client()).call("thread/list"))["error"] == told


async def test_a_bug_is_answered_without_details_and_logged_with_them(caplog: pytest.LogCaptureFixture) -> None:
    async def buggy(ctx: Context, params: object) -> Reply:
        raise ZeroDivisionError("secret")

    async with serving({"thread/list": buggy}) as app:
        client = await app.client()
        assert (await client.call("thread/list"))["error"] == {"code": -32603, "message": "internal error"}
        assert "ZeroDivisionError: secret" in caplog.text
        assert await client.error("thread/list") == "internal error"


async def test_a_result_that_cannot_be_written_is_a_bug_too(caplog: pytest.LogCaptureFixture) -> None:
    async def unwritable(ctx: Context, params: object) -> Reply:
        return Reply({"x": object()})

    async with serving({"thread/list": unwritable}) as app:
        client = await app.client()
        assert (await client.call("thread/list"))["error"]["code"] == -32603


async def test_after_runs_right_behind_the_answer_on_every_connection() -> None:
    async def start(ctx: Context, params: object) -> Reply:
        def after() -> None:
            ctx.connection.notify("thread/tokenUsage/updated", {})
            app.server.clients.publish(Notification("thread/started", {}, Everyone()))

        return Reply({"done": True}, after)

    async def noisy(ctx: Context, params: object) -> Reply:
        for n in range(5):
            app.server.clients.publish(Notification("noise", {"n": n}, Everyone()))
            await anyio.lowlevel.checkpoint()
        return Reply({})

    async with serving({"thread/start": start, "thread/list": noisy}) as app:
        asker, other = await app.client(), await app.client()
        await other.send({"id": 7, "method": "thread/list", "params": {}})
        await asker.send({"id": 8, "method": "thread/start", "params": {}})
        seen = [await asker.receive() for _ in range(8)]
        at = next(i for i, m in enumerate(seen) if m.get("id") == 8)
        assert [m.get("method") for m in seen[at + 1 : at + 3]] == ["thread/tokenUsage/updated", "thread/started"]
        heard = [await other.receive() for _ in range(7)]
        assert [m["method"] for m in heard if "method" in m].count("thread/started") == 1


async def test_a_failing_after_does_not_take_the_answer_back(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def start(ctx: Context, params: object) -> Reply:
        return Reply({}, fail)

    async with serving({"thread/start": start}) as app:
        client = await app.client()
        assert await client.call("thread/start") == {"id": 1, "result": {}}
        assert await client.quiet()
        assert "failed after its answer" in caplog.text
        assert client.connection.open_requests == 0


async def test_a_deferred_answer_is_queued_when_it_is_given() -> None:
    waiting: list[Responder] = []

    async def defer(ctx: Context, params: object) -> Deferred:
        waiting.append(ctx.responder)
        return Deferred()

    async with serving({"thread/archive": defer}) as app:
        client = await app.client()
        await client.send({"id": 5, "method": "thread/archive", "params": {"threadId": "t"}})
        await client.send({"id": 6, "method": "thread/archive", "params": {"threadId": "t"}})
        assert await client.quiet()
        assert client.connection.open_requests == 2
        client.connection.notify("before", {})
        waiting[0].reply({}, lambda: client.connection.notify("after", {}))
        client.connection.notify("later", {})
        waiting[1].fail(BadRequest("no"))
        seen = [await client.receive() for _ in range(5)]
        assert [m.get("method", m.get("id")) for m in seen] == ["before", 5, "after", "later", 6]
        assert client.connection.open_requests == 0
        with pytest.raises(RuntimeError, match="answered twice"):
            waiting[0].reply({})


async def test_handlers_begin_in_the_order_of_arrival_and_are_atomic_up_to_their_first_wait() -> None:
    events: list[str] = []

    async def start(ctx: Context, params: p.ThreadReadParams) -> Reply:
        events.append(f"{params.thread_id} begins")
        events.append(f"{params.thread_id} still alone")
        await anyio.lowlevel.checkpoint()
        return Reply({})

    async with serving({"thread/read": start}) as app:
        client = await app.client()
        for n in range(20):
            await client.send({"id": n, "method": "thread/read", "params": {"threadId": str(n)}})
        for _ in range(20):
            await client.receive()
    assert events == [e for n in range(20) for e in (f"{n} begins", f"{n} still alone")]


async def test_a_slow_request_holds_up_no_other() -> None:
    release = anyio.Event()

    async def slow(ctx: Context, params: object) -> Reply:
        await release.wait()
        return Reply({})

    async with serving({"thread/start": slow, "thread/list": echo}) as app:
        client = await app.client()
        await client.send({"id": 1, "method": "thread/start", "params": {}})
        await client.send({"id": 2, "method": "thread/list", "params": {}})
        assert (await client.receive())["id"] == 2
        release.set()
        assert (await client.receive())["id"] == 1


# -- overload --------------------------------------------------------------------------------------------------------


async def test_too_many_open_requests_are_refused_until_one_is_answered() -> None:
    waiting: list[Responder] = []

    async def defer(ctx: Context, params: object) -> Deferred:
        waiting.append(ctx.responder)
        return Deferred()

    async with serving({"thread/list": defer}) as app:
        client, other = await app.client(), await app.client()
        for n in range(MAX_OPEN_REQUESTS + 1):
            await client.send({"id": n, "method": "thread/list", "params": {}})
        refused = await client.receive()
        assert refused == {
            "error": {"code": -32001, "message": "Server overloaded; retry later."},
            "id": MAX_OPEN_REQUESTS,
        }
        await other.send({"id": 0, "method": "thread/list", "params": {}})
        assert await other.quiet()
        waiting[0].reply({})
        assert (await client.receive())["id"] == 0
        await client.send({"id": 500, "method": "thread/list", "params": {}})
        assert await client.quiet()


async def test_a_burst_of_quick_requests_is_served_whole() -> None:
    async with serving({"thread/list": echo}) as app:
        client = await app.client()
        for n in range(5 * MAX_OPEN_REQUESTS):
            await client.send({"id": n, "method": "thread/list", "params": {}})
        assert [await client.receive() for _ in range(5 * MAX_OPEN_REQUESTS)] == [
            {"id": n, "result": {}} for n in range(5 * MAX_OPEN_REQUESTS)
        ]
