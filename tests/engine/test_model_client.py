"""The HTTP client against a real local endpoint: replies, silent retries, broken streams, cancellation."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import msgspec
import pytest
import zstandard
from msgspec import Raw

from engine.config.providers import Provider
from engine.model import catalog
from engine.model.client import ModelClient
from engine.model.endpoint import Credentials, Endpoint, is_azure, remote_compaction, resolve
from engine.model.errors import backoff
from engine.model.request import ModelRequest, Prompt, RequestSettings, build
from engine.turn.replies import (
    Completed,
    Created,
    Headers,
    ItemDone,
    ModelFailure,
    StreamEvent,
    TextDelta,
)
from rollouts import events as ev
from tests.mock_model import Drop, MockModel, completed, created, delta, failed, message, sse

pytestmark = pytest.mark.anyio

STREAM = "stream disconnected before completion: "
CLOSED = f"{STREAM}stream closed before response.completed"
USAGE = ev.TokenUsage(100, 10, 20, 5, 120)


def request() -> ModelRequest:
    settings = RequestSettings("T", "U", catalog.built_in().find("gpt-5.4"), "I", "tester", "tester/1", "none")
    return build(Prompt("Be.", [Raw(b'{"type":"message","role":"user","content":[]}')]), settings)


def endpoint(model: MockModel, **settings: Any) -> Endpoint:
    provider = Provider(id="mock", name="mock", base_url=model.base_url, request_max_retries=0)
    return resolve(msgspec.structs.replace(provider, **settings), {})


@asynccontextmanager
async def client() -> AsyncIterator[ModelClient]:
    one = ModelClient(clock=lambda: datetime(2026, 11, 22, tzinfo=UTC), jitter=lambda: 0.0)
    try:
        yield one
    finally:
        await one.aclose()


async def play(model: MockModel, **settings: Any) -> list[StreamEvent]:
    async with client() as one:
        return [event async for event in one.stream(request(), endpoint(model, **settings))]


async def fails(model: MockModel, **settings: Any) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await play(model, **settings)
    return caught.value


async def test_a_reply_begins_with_its_headers_and_ends_with_its_usage() -> None:
    with MockModel() as model:
        model.play(
            created(),
            *message("hello", deltas=("he", "llo")),
            completed(),
            headers={"x-codex-turn-state": "ts", "x-codex-primary-used-percent": "12.5"},
        )
        first, *rest = await play(model)
    assert isinstance(first, Headers) and first.turn_state == "ts"
    assert first.rate_limits[0].primary == ev.RateLimitWindow(used_percent=12.5)
    assert [event.delta for event in rest if isinstance(event, TextDelta)] == ["he", "llo"]
    assert rest[0] == Created("resp_1")
    assert rest[-1] == Completed("resp_1", USAGE)


async def test_the_request_as_the_endpoint_sees_it() -> None:
    with MockModel() as model:
        model.say("ok")
        await play(model)
        (seen,) = model.requests
    assert (seen.method, seen.path) == ("POST", "/v1/responses")
    assert seen.body == request().encode()
    expected = {"accept": "text/event-stream", "content-type": "application/json", "session_id": "T"}
    assert expected.items() <= seen.headers.items()
    assert seen.headers["user-agent"] == "tester/1" and "authorization" not in seen.headers


async def test_nothing_counts_after_the_end_and_nothing_is_waited_for() -> None:
    with MockModel() as model:
        model.play(created(), completed(), delta("late"), model.hold())
        events = await play(model)
        model.wait_hangups(1)
    assert isinstance(events[-1], Completed)


async def test_a_complete_reply_leaves_its_connection_to_the_next_request() -> None:
    async with client() as one:
        with MockModel() as model:
            for text in ("one", "two", "three"):
                model.say(text)
                assert [event async for event in one.stream(request(), endpoint(model))]
            assert len({seen.port for seen in model.requests}) == 1


async def test_rate_limit_events_count_on_websockets_only() -> None:
    with MockModel() as model:
        model.play(created(), {"type": "codex.rate_limits", "rate_limits": {}}, completed())
        assert [type(event) for event in await play(model)] == [Headers, Created, Completed]


async def test_a_wrong_content_type_and_noise_are_survived() -> None:
    with MockModel() as model:
        noise = b": comment\r\n\r\ndata: [DONE]\r\n\r\ndata: {\r\n\r\nevent: x\r\n\r\n"
        model.play(noise, created(), *message("hi"), completed(), headers={"content-type": "text/plain"})
        events = await play(model)
    assert [type(event) for event in events] == [Headers, Created, ItemDone, Completed]


async def test_a_stream_in_tiny_pieces() -> None:
    with MockModel() as model:
        text = b"".join(map(sse, [created(), *message("häßlich…"), completed()]))
        model.play(*(text[i : i + 3] for i in range(0, len(text), 3)))
        events = await play(model)
    assert events[-2] == ItemDone(
        ev.Message(id="msg_1", role="assistant", content=(ev.OutputText(text="häßlich…"),)), "msg_1"
    )


async def test_server_errors_are_retried_silently() -> None:
    with MockModel() as model:
        model.fail(500, "boom")
        model.fail(503, "boom")
        model.say("fine now")
        assert isinstance((await play(model, request_max_retries=2))[-1], Completed)
        assert len(model.requests) == 3
        assert len({seen.body for seen in model.requests}) == 1


@pytest.mark.parametrize(
    ("status", "body", "requests"),
    [
        (500, "x", 3),
        (502, "x", 3),
        (503, {"error": {"code": "slow_down"}}, 3),
        (429, "x", 1),
        (401, "x", 1),
        (400, "x", 1),
        (304, "x", 1),
    ],
)
async def test_which_answers_are_asked_for_again(status: int, body: Any, requests: int) -> None:
    with MockModel() as model:
        for _ in range(4):
            model.fail(status, body, {"location": "/elsewhere"})
        failure = await fails(model, request_max_retries=2)
        assert failure.status == status
        assert len(model.requests) == requests


async def test_a_gateway_may_send_the_request_on() -> None:
    with MockModel() as model:
        model.fail(307, "", {"location": "/v1/responses?region=2"})
        model.play(created(), completed())
        assert (await play(model))[-1] == Completed("resp_1", USAGE)
        first, second = model.requests
    assert (second.path, second.body) == ("/v1/responses?region=2", first.body)


async def test_an_error_answer_is_told_in_full() -> None:
    with MockModel() as model:
        model.fail(404, "plain text", {"cf-ray": "ray1", "x-request-id": "rid1"})
        failure = await fails(model, query_params={"api-version": "2 3", "z": "ä"})
        url = f"{model.base_url}/responses?api-version=2%203&z=%C3%A4"
        assert model.requests[0].path == "/v1/responses?api-version=2%203&z=%C3%A4"
    assert failure.message == (
        f"unexpected status 404 Not Found: plain text, url: {url}, cf-ray: ray1, request id: rid1"
    )


async def test_a_huge_error_answer_is_not_read_to_its_end() -> None:
    with MockModel() as model:
        model.fail(400, "x" * 5_000_000)
        failure = await fails(model)
    assert len(failure.message) == 1 << 20


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999"])
async def test_an_impossible_url_is_named(url: str) -> None:
    with MockModel() as model:
        failure = await fails(model, base_url=url)
    assert failure.message.startswith(f"invalid provider URL {url}/responses: ") and failure.retry is None


async def test_headers_that_http_does_not_allow_are_left_out() -> None:
    with MockModel() as model:
        model.say("ok")
        await play(model, http_headers={"x-a": "a\nb", "x b": "1", "ä": "1", "x-c": "ä", "x-d": "d"})
        (seen,) = model.requests
    assert {"x-a", "x b", "ä"}.isdisjoint(seen.headers)
    assert seen.headers["x-c"].encode("latin-1").decode() == "ä" and seen.headers["x-d"] == "d"


async def test_blanks_around_a_header_as_in_a_pasted_key_do_not_fail_the_request() -> None:
    with MockModel() as model:
        model.say("ok")
        await play(model, experimental_bearer_token="key \t", http_headers={"x-a": " \ta"})
        (seen,) = model.requests
    assert (seen.headers["authorization"], seen.headers["x-a"]) == ("Bearer key", "a")


@pytest.mark.parametrize("retries", [0, 2])
async def test_nobody_listens(retries: int) -> None:
    with MockModel() as model:
        url = f"{model.base_url}/responses"
        there = endpoint(model, request_max_retries=retries)
    async with client() as one:
        with pytest.raises(ModelFailure) as caught:
            await anext(one.stream(request(), there))
    failure = caught.value
    assert failure.message == f"{STREAM}error sending request for url ({url})"
    assert (failure.kind, failure.info.wire(), failure.retry is not None) == ("transport", "other", True)


async def test_a_connection_lost_before_the_answer_is_retried() -> None:
    with MockModel() as model, socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

        async def refuse_twice() -> None:
            for _ in range(2):
                connection, _ = await anyio.to_thread.run_sync(listener.accept)
                connection.close()

        async with anyio.create_task_group() as group:
            group.start_soon(refuse_twice)
            failure = await fails(model, base_url=base, request_max_retries=1)
    assert failure.message == f"{STREAM}error sending request for url ({base}/responses)"


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([created()], CLOSED),
        ([created(), Drop()], CLOSED),
        ([], CLOSED),
        ([b'{"error": {"message": "m"}}'], CLOSED),
        ([created(), Drop(abrupt=True)], f"{STREAM}Transport error: network error: error decoding response body"),
    ],
)
async def test_a_stream_that_ends_early(steps: list[Any], text: str) -> None:
    with MockModel() as model:
        model.play(*steps)
        failure = await fails(model)
        assert len(model.requests) == 1
    assert (failure.message, failure.info.wire(), failure.retry is not None) == (text, "other", True)


async def test_items_before_a_break_have_been_told() -> None:
    told: list[StreamEvent] = []
    with MockModel() as model:
        model.play(created(), *message("whole"), delta("half"), Drop())
        async with client() as one:
            with pytest.raises(ModelFailure):
                async for event in one.stream(request(), endpoint(model)):
                    told.append(event)  # noqa: PERF401 - what came before the failure counts
    assert [type(event) for event in told] == [Headers, Created, ItemDone, TextDelta]


async def test_a_failed_response_fails_when_its_stream_ends() -> None:
    with MockModel() as model:
        model.play(created(), failed("x", "first"), failed("context_length_exceeded", "m"))
        failure = await fails(model)
    assert (failure.kind, failure.info.wire(), failure.retry) == ("context_window", "contextWindowExceeded", None)


async def test_a_response_that_completes_after_all_is_good() -> None:
    with MockModel() as model:
        model.play(created(), failed("x", "m"), *message("later"), completed())
        assert [type(event) for event in await play(model)] == [Headers, Created, ItemDone, Completed]


async def test_a_failed_response_that_falls_silent_has_failed() -> None:
    with MockModel() as model:
        model.play(created(), failed("x", "told"), model.hold())
        failure = await fails(model, stream_idle_timeout_ms=50)
    assert failure.message == f"{STREAM}told"


async def test_a_silent_stream_times_out() -> None:
    with MockModel() as model:
        model.play(created(), model.hold())
        failure = await fails(model, stream_idle_timeout_ms=50)
        await anyio.to_thread.run_sync(model.wait_hangups, 1)
    assert failure.message == f"{STREAM}idle timeout waiting for SSE"
    assert failure.retry is not None


async def test_comments_are_no_sign_of_life() -> None:
    with MockModel() as model:
        model.play(created(), *[b": keep-alive\n\n"] * 20, model.hold())
        failure = await fails(model, stream_idle_timeout_ms=50)
    assert failure.message == f"{STREAM}idle timeout waiting for SSE"


async def test_a_stream_of_comments_times_out_while_it_goes_on() -> None:
    class Comments(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield b": keep-alive\n\n"
                await anyio.sleep(0.001)

    class Transport(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, stream=Comments())

    one = ModelClient(transport=Transport())
    with pytest.raises(ModelFailure, match="idle timeout waiting for SSE"):
        assert [event async for event in one.stream(request(), Endpoint("http://local", {}, idle_timeout=0.02))]
    await one.aclose()


async def test_cancelling_hangs_up_at_once() -> None:
    with MockModel() as model:
        model.play(created(), delta("he"), model.hold())
        async with client() as one, anyio.create_task_group() as group:
            reached = anyio.Event()

            async def sample() -> None:
                async for event in one.stream(request(), endpoint(model)):
                    if isinstance(event, TextDelta):
                        reached.set()

            group.start_soon(sample)
            await reached.wait()
            group.cancel_scope.cancel()
        await anyio.to_thread.run_sync(model.wait_hangups, 1)


async def test_leaving_the_stream_hangs_up_and_the_client_goes_on() -> None:
    with MockModel() as model:
        model.play(created(), delta("he"), model.hold())
        model.say("next")
        async with client() as one:
            async with aclosing(one.stream(request(), endpoint(model))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        break
            await anyio.to_thread.run_sync(model.wait_hangups, 1)
            assert [e async for e in one.stream(request(), endpoint(model))][-1] == Completed("resp_1", USAGE)


async def test_many_streams_at_a_time() -> None:
    with MockModel() as model:
        for _ in range(30):
            model.play(created(), model.hold("all"), completed())
        ended: list[StreamEvent] = []
        async with client() as one, anyio.create_task_group() as group:

            async def sample() -> None:
                ended.append([event async for event in one.stream(request(), endpoint(model))][-1])

            for _ in range(30):
                group.start_soon(sample)
            await anyio.to_thread.run_sync(model.wait_requests, 30)
            model.release("all")
    assert ended == [Completed("resp_1", USAGE)] * 30


async def test_whole_answers() -> None:
    with MockModel() as model:
        model.fail(500)
        model.fail(200, {"output": []})
        model.fail(401, {"error": {"message": "no"}})
        async with client() as one:
            there = endpoint(model, request_max_retries=1)
            answer = await one.post(b'{"a":1}', (("x-b", "c"),), there, "responses/compact")
            with pytest.raises(
                ModelFailure, match=r"unexpected status 401 Unauthorized: no, url: .*/responses/compact"
            ):
                await one.post(b"{}", (), there, "responses/compact")
        assert json.loads(answer) == {"output": []}
        assert model.requests[1].path == "/v1/responses/compact"
        assert (model.requests[1].json, model.requests[1].headers["x-b"]) == ({"a": 1}, "c")


async def test_a_chatgpt_login_compresses() -> None:
    with MockModel() as model:
        model.say("ok")
        provider = Provider(id="openai", name="OpenAI", base_url=model.base_url, requires_openai_auth=True)
        login = Credentials("token", {"ChatGPT-Account-Id": "acct"}, chatgpt=True)
        async with client() as one:
            async for _ in one.stream(request(), resolve(provider, {}, login)):
                pass
        (seen,) = model.requests
    assert seen.headers["content-encoding"] == "zstd"
    assert zstandard.ZstdDecompressor().decompress(seen.body) == request().encode()
    assert seen.headers["authorization"] == "Bearer token"
    assert seen.headers["chatgpt-account-id"] == "acct"


def test_an_endpoint_takes_keys_and_headers_from_provider_and_environment() -> None:
    provider = Provider(
        id="p",
        name="p",
        base_url="http://h/v1/",
        env_key="KEY",
        http_headers={"X-A": "1"},
        env_http_headers={"X-B": "B", "X-Unset": "UNSET", "X-Blank": "BLANK"},
        request_max_retries=1000,
        stream_max_retries=0,
        stream_idle_timeout_ms=700,
    )
    found = resolve(provider, {"KEY": "sk", "B": "bee", "BLANK": " "}, Credentials("login", {"X-A": "2"}))
    assert found.url("responses") == "http://h/v1/responses"
    assert dict(found.headers) == {"x-a": "2", "x-b": "bee", "authorization": "Bearer sk"}
    assert (found.request_max_retries, found.stream_max_retries, found.idle_timeout) == (100, 0, 0.7)


def test_a_provider_may_name_the_client_but_not_the_session() -> None:
    there = resolve(Provider(id="p", name="p", http_headers={"Originator": "o", "session_id": "s", "x-a": "1"}), {})
    own = [("originator", "us"), ("session_id", "t"), ("user-agent", "ua")]
    assert there.joined(own) == {"originator": "o", "session_id": "t", "x-a": "1", "user-agent": "ua"}


def test_query_parameters_are_not_encoded_twice() -> None:
    there = resolve(Provider(id="p", name="p", query_params={"v": "2 3%20/x", "#": "ü"}), {})
    assert there.query == "?v=2%203%20/x&%23=%C3%BC"


def test_an_endpoint_of_a_bare_provider() -> None:
    found = resolve(Provider(id="openai", name="OpenAI"), {})
    assert found == Endpoint(base="https://api.openai.com/v1", headers={})
    assert (found.request_max_retries, found.stream_max_retries, found.idle_timeout) == (4, 5, 300)
    signed_in = resolve(Provider(id="openai", name="OpenAI"), {}, Credentials("t", chatgpt=True))
    assert signed_in.base == "https://chatgpt.com/backend-api/codex"


@pytest.mark.parametrize("environ", [{}, {"KEY": "  "}])
def test_a_missing_key_is_named(environ: dict[str, str]) -> None:
    provider = Provider(id="p", name="p", env_key="KEY", env_key_instructions="Get one.")
    with pytest.raises(ModelFailure) as caught:
        resolve(provider, environ)
    assert caught.value.message == "Missing environment variable: `KEY`. Get one."
    assert caught.value.retry is None


def test_who_compacts_remotely() -> None:
    openai, azure, other = (
        Provider(id="x", name=name, base_url=url)
        for name, url in [("OpenAI", None), ("mine", "https://r.OpenAI.azure.com/v1"), ("ollama", "http://h")]
    )
    assert [remote_compaction(one) for one in (openai, azure, other)] == [True, True, False]
    assert [is_azure(one) for one in (openai, azure, other)] == [False, True, False]


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 0.2), (2, 0.4), (3, 0.8), (5, 3.2)])
def test_back_off_doubles(attempt: int, seconds: float) -> None:
    assert backoff(attempt, 1.0) == pytest.approx(seconds)
    assert backoff(attempt, 1.1) == pytest.approx(seconds * 1.1)
