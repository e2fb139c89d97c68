"""Who hears what: audiences, opting out, and questions to several clients at once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from engine.appserver.dispatch import Context, Handler, Reply
from engine.notes import Everyone, Notification, Only, Subscribers
from projections import protocol as p
from tests.appserver.fake_host import Client, Running, serving
from tests.schema import check_message

pytestmark = pytest.mark.anyio

APPROVAL = "item/commandExecution/requestApproval"


async def resume(ctx: Context, params: p.ThreadResumeParams) -> Reply:
    ctx.subscribe(params.thread_id)
    return Reply({}, lambda: ctx.connection.notify("thread/tokenUsage/updated", {}))


async def unsubscribe(ctx: Context, params: p.ThreadUnsubscribeParams) -> Reply:
    return Reply({"was": ctx.unsubscribe(params.thread_id)})


HANDLERS: dict[str, Handler] = {"thread/resume": resume, "thread/unsubscribe": unsubscribe}


async def join(client: Client, thread_id: str = "t") -> None:
    """Resume a thread and read the answer and the usage that follows it."""
    await client.call("thread/resume", {"threadId": thread_id})
    await client.receive()


def publish(app: Running, note: Notification) -> None:
    app.host.sink.publish(note)


# -- audiences -------------------------------------------------------------------------------------------------------


async def test_every_initialized_connection_hears_a_broadcast() -> None:
    async with serving() as app:
        stranger, first, second = app.connect(), await app.client(), await app.client()
        publish(app, Notification("thread/started", {"n": 1}, Everyone()))
        assert await first.receive() == {"method": "thread/started", "params": {"n": 1}}
        assert await second.receive() == {"method": "thread/started", "params": {"n": 1}}
        assert await stranger.quiet()


async def test_notes_of_a_thread_go_to_those_who_follow_it() -> None:
    async with serving(HANDLERS) as app:
        follower, other, listener = await app.client(), await app.client(), await app.client()
        await join(follower, "t")
        await join(other, "u")
        publish(app, Notification("turn/started", {}, Subscribers("t")))
        assert (await follower.receive())["method"] == "turn/started"
        assert await other.quiet()
        assert await listener.quiet()


async def test_one_connection_alone_and_nobody_when_it_is_gone() -> None:
    async with serving() as app:
        first, second = await app.client(), await app.client()
        publish(app, Notification("command/exec/outputDelta", {}, Only(second.connection.id)))
        assert (await second.receive())["method"] == "command/exec/outputDelta"
        assert await first.quiet()
        app.server.disconnect(second.connection)
        publish(app, Notification("command/exec/outputDelta", {}, Only(second.connection.id)))


async def test_opting_out_silences_exactly_the_named_methods_on_that_connection() -> None:
    async with serving(HANDLERS) as app:
        quiet = await app.client(mute=["thread/started", "thread/tokenUsage/updated", "no/such", "thread/resume"])
        loud = await app.client()
        await quiet.call("thread/resume", {"threadId": "t"})
        for method in ("thread/started", "thread/started/not", "turn/started"):
            publish(app, Notification(method, {}, Everyone()))
        assert [(await quiet.receive())["method"] for _ in range(2)] == ["thread/started/not", "turn/started"]
        assert (await loud.receive())["method"] == "thread/started"


async def test_a_question_cannot_be_opted_out_of() -> None:
    async with serving(HANDLERS) as app:
        client = await app.client(mute=[APPROVAL])
        await client.call("thread/resume", {"threadId": "t"})
        await client.receive()
        app.host.sink.ask("t", APPROVAL, {}, lambda answer: None)
        assert (await client.receive())["method"] == APPROVAL


async def test_leaving_by_request_or_by_closing() -> None:
    async with serving(HANDLERS) as app:
        first, second = await app.client(), await app.client()
        await join(first)
        await join(second)
        assert (await first.call("thread/unsubscribe", {"threadId": "t"}))["result"] == {"was": True}
        assert (await first.call("thread/unsubscribe", {"threadId": "t"}))["result"] == {"was": False}
        app.server.disconnect(second.connection)
        publish(app, Notification("turn/started", {}, Subscribers("t")))
        assert await first.quiet()
        assert app.host.calls == [
            ("ready", first.connection.id),
            ("ready", second.connection.id),
            ("listeners", "t", 1),
            ("listeners", "t", 2),
            ("listeners", "t", 1),
            ("listeners", "t", 0),
            ("gone", second.connection.id),
        ]


async def test_a_thread_that_was_unloaded_has_no_followers() -> None:
    async def archive(ctx: Context, params: p.ThreadArchiveParams) -> Reply:
        ctx.forget(params.thread_id)
        return Reply({})

    async with serving({**HANDLERS, "thread/archive": archive}) as app:
        follower, other = await app.client(), await app.client()
        await join(follower)
        await other.call("thread/archive", {"threadId": "t"})
        publish(app, Notification("turn/started", {}, Subscribers("t")))
        assert await follower.quiet()
        assert app.host.calls[-1] == ("listeners", "t", 0)


async def test_resuming_twice_makes_no_second_subscription() -> None:
    async with serving(HANDLERS) as app:
        client = await app.client()
        await join(client)
        await join(client)
        publish(app, Notification("turn/started", {}, Subscribers("t")))
        await client.receive()
        assert await client.quiet()
        assert app.host.calls == [("ready", client.connection.id), ("listeners", "t", 1)]


async def test_a_note_is_encoded_once_for_all() -> None:
    async with serving() as app:
        clients = [await app.client() for _ in range(3)]
        publish(app, Notification("m", {}, Everyone()))
        first, *others = [await client.connection.outbox.take() for client in clients]
        assert first is not None
        assert all(batch is not None and batch[0] is first[0] for batch in others)


async def test_start_up_notices_follow_the_answer_to_initialize_and_come_once() -> None:
    async with serving() as app:
        client = app.connect()
        await client.send({"method": "initialized"})
        assert app.host.calls == []
        await client.initialize()
        assert app.host.calls == [("ready", client.connection.id)]
        await client.send({"method": "initialized", "params": {}})
        assert app.host.calls == [("ready", client.connection.id)]


# -- questions -------------------------------------------------------------------------------------------------------


class Answers:
    """Collects what an asker is told."""

    def __init__(self) -> None:
        self.given: list[msgspec.Struct] = []
        self.told: Callable[[msgspec.Struct], None] = self.given.append


async def test_all_followers_get_a_question_and_the_first_answer_counts() -> None:
    async with serving(HANDLERS) as app:
        first, second, stranger = await app.client(), await app.client(), await app.client()
        await join(first)
        await join(second)
        answers = Answers()
        assert app.host.sink.ask("t", APPROVAL, {"itemId": "c"}, answers.told) == 0
        asked = {"method": APPROVAL, "id": 0, "params": {"itemId": "c"}}
        assert [await first.receive(), await second.receive()] == [asked, asked]
        await second.send({"id": 0, "result": {"decision": "accept"}})
        await first.send({"id": 0, "result": {"decision": "decline"}})
        resolved = {"method": "serverRequest/resolved", "params": {"threadId": "t", "requestId": 0}}
        assert [await first.receive(), await second.receive()] == [resolved, resolved]
        check_message(resolved)
        assert answers.given == [p.CommandExecutionRequestApprovalResponse(decision="accept")]
        assert [await c.quiet() for c in (first, second, stranger)] == [True] * 3


async def test_the_end_of_a_question_is_announced_before_its_consequences() -> None:
    async with serving(HANDLERS) as app:
        client = await app.client()
        await join(client)

        def go_on(answer: msgspec.Struct) -> None:
            publish(app, Notification("item/completed", {}, Subscribers("t")))

        app.host.sink.ask("t", APPROVAL, {}, go_on)
        await client.receive()
        await client.send({"id": 0, "result": {"decision": "accept"}})
        assert [(await client.receive())["method"] for _ in range(2)] == ["serverRequest/resolved", "item/completed"]


async def test_who_does_not_follow_the_thread_cannot_answer() -> None:
    async with serving(HANDLERS) as app:
        client, stranger, uninitialized = await app.client(), await app.client(), app.connect()
        await join(client)
        answers = Answers()
        app.host.sink.ask("t", APPROVAL, {}, answers.told)
        await client.receive()
        for other in (stranger, uninitialized):
            await other.send({"id": 0, "result": {"decision": "accept"}})
        assert answers.given == []
        assert await client.quiet()


async def test_a_withdrawn_question_is_announced_and_its_answer_ignored() -> None:
    async with serving(HANDLERS) as app:
        client = await app.client()
        await join(client)
        answers = Answers()
        question = app.host.sink.ask("t", APPROVAL, {}, answers.told)
        await client.receive()
        app.host.sink.withdraw(question)
        assert (await client.receive())["method"] == "serverRequest/resolved"
        await client.send({"id": question, "result": {"decision": "accept"}})
        app.host.sink.withdraw(question)
        assert answers.given == []
        assert await client.quiet()


async def test_an_open_question_reaches_whoever_joins_after_the_answer_and_what_follows_it() -> None:
    async with serving(HANDLERS) as app:
        first = await app.client()
        await join(first)
        answers = Answers()
        app.host.sink.ask("t", APPROVAL, {}, answers.told)
        app.host.sink.ask("other", APPROVAL, {}, answers.told)
        app.server.disconnect(first.connection)
        second = await app.client()
        await second.send({"id": 3, "method": "thread/resume", "params": {"threadId": "t"}})
        seen = [await second.receive() for _ in range(3)]
        assert [(m.get("method"), m.get("id")) for m in seen] == [
            (None, 3),
            ("thread/tokenUsage/updated", None),
            (APPROVAL, 0),
        ]
        await second.send({"id": 0, "result": {"decision": "cancel"}})
        assert answers.given == [p.CommandExecutionRequestApprovalResponse(decision="cancel")]


async def test_the_end_of_a_client_side_tool_call_is_not_announced() -> None:
    async with serving(HANDLERS) as app:
        client = await app.client()
        await join(client)
        answers = Answers()
        app.host.sink.ask("t", "item/tool/call", {}, answers.told)
        await client.receive()
        await client.send({"id": 0, "result": {"contentItems": [], "success": True}})
        assert answers.given == [p.DynamicToolCallResponse(content_items=[], success=True)]
        assert await client.quiet()


async def test_a_question_without_a_thread_goes_to_everyone() -> None:
    async with serving() as app:
        first, second = await app.client(), await app.client()
        answers = Answers()
        app.host.sink.ask(None, "account/chatgptAuthTokens/refresh", {"reason": "unauthorized"}, answers.told)
        assert [(await c.receive())["id"] for c in (first, second)] == [0, 0]
        await second.send({"id": 0, "result": {"accessToken": "a", "chatgptAccountId": "b"}})
        assert answers.given == [p.ChatgptAuthTokensRefreshResponse(access_token="a", chatgpt_account_id="b")]
        assert await first.quiet()


async def test_ids_of_questions_count_up_through_the_process() -> None:
    async with serving() as app:
        told = Answers().told
        assert [app.host.sink.ask(t, APPROVAL, {}, told) for t in ("a", "b", None)] == [0, 1, 2]
