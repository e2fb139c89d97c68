"""What is taken in, what is dropped and what is refused: every row of the message rules."""

from __future__ import annotations

import pytest

from engine.appserver import messages
from engine.appserver.dispatch import Context, Reply
from tests.appserver.fake_host import serving

pytestmark = pytest.mark.anyio


async def echo(ctx: Context, params: object) -> Reply:
    return Reply({})


DROPPED = {
    "no JSON": "not json",
    "empty line": "",
    "array": "[]",
    "batch": '[{"id":1,"method":"thread/list","params":{}}]',
    "id only": '{"id":11}',
    "fractional id": '{"id":1.5,"method":"thread/list","params":{}}',
    "null id": '{"id":null,"method":"thread/list","params":{}}',
    "id beyond i64": '{"id":9223372036854775808,"method":"thread/list","params":{}}',
    "method of another type": '{"id":1,"method":5,"params":{}}',
    "text after the message": '{"id":1,"method":"thread/list","params":{}} x',
    "nested without end": '{"id":1,"method":"thread/list","params":' + "[" * 100_000 + "]" * 100_000 + "}",
    "unknown notification": '{"method":"weird/notification"}',
    "notification with params": '{"method":"initialized","params":{}}',
    "answer nobody asked for": '{"id":901,"result":{}}',
    "answer under a text id": '{"id":"x","result":{}}',
    "error nobody asked for": '{"id":901,"error":{"code":1,"message":"x"}}',
}


@pytest.mark.parametrize("text", DROPPED.values(), ids=DROPPED.keys())
async def test_dropped_without_an_answer_and_the_connection_stays(text: str) -> None:
    async with serving({"thread/list": echo}) as app:
        client = await app.client()
        await client.send(text)
        assert await client.quiet()
        assert await client.call("thread/list") == {"id": 1, "result": {}}


@pytest.mark.parametrize("request_id", [0, -1, 2**63 - 1, -(2**63), "", "first-id", "1"])
async def test_ids_are_echoed_untouched(request_id: int | str) -> None:
    async with serving({"thread/list": echo}) as app:
        client = await app.client()
        await client.send({"id": request_id, "method": "thread/list", "params": {}})
        assert await client.receive() == {"id": request_id, "result": {}}


async def test_members_that_mean_nothing_here_are_ignored() -> None:
    async with serving({"thread/list": echo}) as app:
        client = await app.client()
        await client.send('{"jsonrpc":"2.0","id":1,"method":"thread/list","params":{"future":[1]},"x":2}')
        assert await client.receive() == {"id": 1, "result": {}}


def test_key_order_on_the_wire() -> None:
    assert messages.result("a", {"x": None}) == b'{"id":"a","result":{"x":null}}'
    assert messages.failure(1, -32600, "no") == b'{"error":{"code":-32600,"message":"no"},"id":1}'
    assert (
        messages.failure(1, -32602, "no", {"a": 1}) == b'{"error":{"code":-32602,"data":{"a":1},"message":"no"},"id":1}'
    )
    assert messages.notification("m", {"a": 1}) == b'{"method":"m","params":{"a":1}}'
    assert messages.request(0, "m", {"a": 1}) == b'{"method":"m","id":0,"params":{"a":1}}'
