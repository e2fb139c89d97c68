"""MCP in a whole engine: calls in turns, approvals, questions of servers, methods, and what clients and files show."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from engine.errors import BadRequest, Internal
from engine.host import open_host
from engine.model import rate_limits
from engine.model.endpoint import Endpoint
from engine.model.request import ModelRequest
from engine.turn.replies import Completed, Created, Headers, ItemDone, StreamEvent
from projections import protocol as p
from rollouts import events as ev
from rollouts.log import LogError
from tests.engine.harness import CONFIG, Clock, Engine, Recorder, Scripted, make_home, until

PLAIN = str(Path(__file__).with_name("mcp_plain.py"))
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.anyio

NOT_OBJECT = "MCP tool arguments must be a JSON object, got [1]"
ELICITATION = "mcpServer/elicitation/request"


class Caller(Scripted):
    """A model that calls tools of namespaces: replies may be whole items."""

    async def stream(
        self, request: ModelRequest, endpoint: Endpoint | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        if self.replies and isinstance(self.replies[0], ev.FunctionCall):
            self.requests.append(request)
            yield Headers(rate_limits.snapshots({}))
            yield Created("r")
            yield ItemDone(self.replies.popleft(), "fc")
            yield Completed("r", None)
            return
        async for event in super().stream(request, endpoint):
            yield event


class Clients(Recorder):
    """Clients that are asked; they answer at once with what `answer` makes of the question, or not if that is None."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.withdrawn: list[int] = []
        self.answer: Callable[[Any], p.McpServerElicitationRequestResponse | None] = lambda params: None

    def ask(
        self, thread_id: str | None, method: str, params: object, on_answer: Callable[[msgspec.Struct], None]
    ) -> int:
        assert method == ELICITATION
        self.asked.append(params)
        answer = self.answer(params)
        if answer is not None:
            on_answer(answer)
        return len(self.asked)

    def withdraw(self, question_id: int) -> None:
        self.withdrawn.append(question_id)


def says(action: Any, **more: Any) -> Callable[[Any], p.McpServerElicitationRequestResponse]:
    return lambda params: p.McpServerElicitationRequestResponse(action=action, **more)


class Bench(Engine):
    """An engine whose model calls MCP tools."""

    model: Caller
    sink: Clients

    async def calls(self, thread_id: str, *calls: tuple[str, str], namespace: str | None = "mcp__plain__") -> list[Any]:
        """A turn with these calls, one after the other; their outputs as the model reads them."""
        before = len(self.model.requests)
        for number, (name, arguments) in enumerate(calls):
            item: Any = ev.FunctionCall(
                id=None, name=name, namespace=namespace, arguments=arguments, call_id=f"call_{before}_{number}"
            )
            self.model.replies.append(item)
        await self.turn(thread_id)
        sent = [msgspec.json.decode(item) for item in self.model.requests[-1].body.input]
        outputs = {item["call_id"]: item["output"] for item in sent if item["type"] == "function_call_output"}
        return [outputs[f"call_{before}_{number}"] for number in range(len(calls))]

    def items(self, note: str) -> list[p.McpToolCallThreadItem]:
        """The MCP items of these notifications, as clients read them."""
        told = [each.item for each in self.sink.of(note) if isinstance(each.item, p.McpToolCallThreadItem)]
        return msgspec.json.decode(msgspec.json.encode(told), type=list[p.McpToolCallThreadItem])


def configure(home: Path, *, server: str = "", top: str = "", mode: str = "good", name: str = "plain") -> Path:
    args = msgspec.json.encode([PLAIN, mode, str(home / "plain.log")]).decode()
    table = f'[mcp_servers.{name}]\ncommand = "{sys.executable}"\nargs = {args}\n{server}\n'
    (home / "config.toml").write_text(f"{top}\n{CONFIG}\n{table}")
    return home


FREE = 'approval_policy = "never"\nsandbox_mode = "danger-full-access"'
ASKING = 'approval_policy = "on-request"\nsandbox_mode = "read-only"'


@asynccontextmanager
async def bench(home: Path) -> AsyncIterator[Bench]:
    sink, model = Clients(), Caller()
    cwd = home / "work"
    cwd.mkdir(exist_ok=True)
    async with open_host(home, cwd=cwd, clock=Clock())(sink) as host:
        host.operations._demo = model  # type: ignore[assignment]
        with anyio.fail_after(60):
            yield Bench(host, model, sink)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path / "home")


def log(home: Path) -> str:
    """What the server was sent so far."""
    file = home / "plain.log"
    return file.read_text() if file.exists() else ""


def lines(home: Path) -> list[dict[str, Any]]:
    [file] = (home / "sessions").rglob("*.jsonl")
    return [msgspec.json.decode(line)["payload"] for line in file.read_bytes().splitlines()]


def framed(output: str) -> str:
    frame, _, rest = output.partition(" seconds\nOutput:\n")
    assert frame.startswith("Wall time: ")
    return rest


# -- calls


async def test_a_call_is_an_item_and_an_output(home: Path) -> None:
    async with bench(configure(home, top=FREE)) as engine:
        thread = await engine.start(persist_extended_history=True)
        [output] = await engine.calls(thread, ("echo_it", '{"t": "x"}'))
        assert framed(output) == '[{"type":"text","text":"did {\\"t\\": \\"x\\"}"}]'
        [begun], [ended] = engine.items("item/started"), engine.items("item/completed")
    assert (begun.server, begun.tool, begun.status, begun.result) == ("plain", "echo-it", "inProgress", None)
    assert (ended.status, ended.arguments, ended.error) == ("completed", {"t": "x"}, None)
    assert begun.mcp_app_resource_uri == ended.mcp_app_resource_uri == "ui://plain/echo"
    [line] = [each for each in lines(home) if each.get("type") == "mcp_tool_call_end"]
    assert line["invocation"] == {"server": "plain", "tool": "echo-it", "arguments": {"t": "x"}}
    assert line["result"]["Ok"]["content"] == [{"type": "text", "text": 'did {"t": "x"}'}]


async def test_the_model_is_offered_namespaces_and_resource_tools(home: Path) -> None:
    async with bench(configure(home, top=FREE, server='enabled_tools = ["echo-it"]')) as engine:
        await engine.turn(await engine.start())
        tools = [msgspec.json.decode(each) for each in engine.model.requests[0].body.tools]
    names = [tool.get("name") for tool in tools]
    assert {"list_mcp_resources", "list_mcp_resource_templates", "read_mcp_resource"} <= set(names)
    [space] = [tool for tool in tools if tool["type"] == "namespace"]
    assert space["name"] == "mcp__plain__" and [tool["name"] for tool in space["tools"]] == ["echo_it"]


async def test_without_servers_there_is_nothing_of_mcp_and_no_sdk(home: Path) -> None:
    program = (
        "import sys, anyio; from pathlib import Path; from tests.engine.harness import engine\n"
        "async def main():\n"
        "    async with engine(Path(sys.argv[1])) as running:\n"
        "        await running.turn(await running.start())\n"
        "        assert 'mcp__' not in str(running.model.requests[0].encode())\n"
        "anyio.run(main); assert 'mcp' not in sys.modules and 'pydantic' not in sys.modules"
    )
    done = await anyio.run_process([sys.executable, "-c", program, str(home)], cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("broken", "{}", "no good"),
        (
            "act",
            "[1]",
            "tool call error: tool call failed for `plain/act`\n\nCaused by:\n    " + NOT_OBJECT,
        ),
        ("die", "", "tool call error: tool call failed for `plain/die`\n\nCaused by:\n    Transport closed"),
        ("act", "{nope", "err: key must be a string at line 1 column 2"),
    ],
)
async def test_what_fails_is_told_to_the_model_in_the_form_of_a_result(
    home: Path, name: str, arguments: str, output: str
) -> None:
    """Recorded."""
    async with bench(configure(home, top=FREE)) as engine:
        [given] = await engine.calls(await engine.start(), (name, arguments))
        failed = engine.items("item/completed")
    assert msgspec.json.decode(framed(given)) == [{"type": "text", "text": output}]
    assert [item.status for item in failed] == ([] if output.startswith("err:") else ["failed"])


async def test_tools_that_are_not_there(home: Path) -> None:
    async with bench(configure(home, top=FREE, server='disabled_tools = ["act"]')) as engine:
        thread = await engine.start()
        assert await engine.calls(thread, ("act", "{}")) == ["unsupported call: mcp__plain__act"]
        assert await engine.calls(thread, ("mcp__plain__echo_it", "{}"), namespace=None) == [
            "unsupported call: mcp__plain__echo_it"
        ]


async def test_an_interrupted_call_ends_at_the_server_and_leaves_its_item_open(home: Path) -> None:
    """Recorded, but for the word to the server."""
    async with bench(configure(home, top=FREE)) as engine:
        thread = await engine.start()
        engine.model.replies.append(_call("sleep"))
        turn = engine.begin(thread)
        await until(lambda: '"sleep"' in log(home))
        engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=turn), lambda: None)
        assert (await engine.ended(turn)).status == "interrupted"
        assert engine.items("item/started") and not engine.items("item/completed")
        await until(lambda: "notifications/cancelled" in log(home))
    [output] = [each["output"] for each in lines(home) if each.get("type") == "function_call_output"]
    assert msgspec.json.decode(output)[0]["text"].startswith("aborted by user after ")


def _call(name: str, arguments: str = "{}") -> Any:
    return ev.FunctionCall(id=None, name=name, namespace="mcp__plain__", arguments=arguments, call_id="call_x")


# -- approval


async def test_a_tool_with_effects_is_asked_about(home: Path) -> None:
    async with bench(configure(home, top=ASKING)) as engine:
        engine.sink.answer = says("accept")
        thread = await engine.start()
        outputs = await engine.calls(thread, ("act", '{"a": 1}'), ("echo_it", "{}"))
        assert "did" in framed(outputs[0])
        [question] = engine.sink.asked
        flags = [getattr(each.status, "active_flags", None) for each in engine.sink.of("thread/status/changed")]
    assert question.message == 'Allow the plain MCP server to run tool "act"?' and question.turn_id
    assert question.meta["tool_params"] == {"a": 1}
    assert flags == [[], ["waitingOnApproval"], [], None]
    decided = [each for each in lines(home) if each.get("type") == "approval"]
    assert [(each["kind"], each["decision"], each["decided_by"]) for each in decided] == [("mcp", "accept", "user")]


@pytest.mark.parametrize(
    ("action", "text"), [("decline", "user rejected MCP tool call"), ("cancel", "user cancelled MCP tool call")]
)
async def test_a_no_fails_the_call_and_the_turn_goes_on(home: Path, action: str, text: str) -> None:
    """Recorded."""
    async with bench(configure(home, top=ASKING)) as engine:
        engine.sink.answer = says(action)
        [output] = await engine.calls(await engine.start(), ("act", "{}"))
        [item] = engine.items("item/completed")
    assert msgspec.json.decode(framed(output)) == [{"type": "text", "text": text}]
    assert item.status == "failed" and item.error is not None and item.error.message == text
    assert '"tools/call"' not in log(home)


@pytest.mark.parametrize(("persist", "file"), [("session", False), ("always", True)])
async def test_a_yes_may_hold_for_longer(home: Path, persist: str, file: bool) -> None:
    async with bench(configure(home, top=ASKING)) as engine:
        engine.sink.answer = says("accept", meta={"persist": persist})
        await engine.calls(await engine.start(), ("act", "{}"), ("act", "{}"))
        assert len(engine.sink.asked) == 1
        engine.sink.answer = says("decline")
        await engine.calls(await engine.start(), ("act", "{}"))
        assert len(engine.sink.asked) == (1 if file else 2)
    assert ("[mcp_servers.plain.tools.act]" in (home / "config.toml").read_text()) is file


async def test_an_open_question_is_withdrawn_with_its_turn(home: Path) -> None:
    async with bench(configure(home, top=ASKING)) as engine:
        thread = await engine.start()
        for tool in ("act", "ask"):
            engine.model.replies.append(_call(tool))
            turn = engine.begin(thread)
            await until(lambda: len(engine.sink.asked) > len(engine.sink.withdrawn))
            engine.host.turns.interrupt(p.TurnInterruptParams(thread_id=thread, turn_id=turn), lambda: None)
            await engine.ended(turn)
            await until(lambda: len(engine.sink.asked) == len(engine.sink.withdrawn))
        await until(lambda: '"action":"cancel"' in log(home).replace(" ", ""))
        assert engine.host.threads.status(thread) == p.IdleThreadStatus()


async def test_an_open_question_is_withdrawn_with_a_turn_that_cannot_be_written(home: Path) -> None:
    async def fails() -> None:
        raise LogError(home, "no space left")

    async with bench(configure(home, top=ASKING)) as engine:
        thread = await engine.start()
        engine.model.replies.append(_call("ask"))
        turn = engine.begin(thread)
        await until(lambda: engine.sink.asked)
        engine.host.threads.get(thread).post(fails)
        assert (await engine.ended(turn)).status == "failed"
        await until(lambda: engine.sink.withdrawn)


# -- questions of servers


async def test_a_server_asks_the_user_in_the_turn(home: Path) -> None:
    async with bench(configure(home, top=ASKING)) as engine:
        engine.sink.answer = says("accept", content={"why": "so"})
        [output] = await engine.calls(await engine.start(), ("ask", "{}"))
        [question] = engine.sink.asked
    assert (question.server_name, question.message) == ("plain", "Sure?")
    [part] = msgspec.json.decode(framed(output))
    assert msgspec.json.decode(part["text"]) == {"action": "accept", "content": {"why": "so"}}


CONSENT = '{"question": {"message": "OK?", "requestedSchema": {"type": "object", "properties": {}}}}'


async def test_where_nobody_may_be_asked_a_server_is_declined_unless_it_asks_for_consent_only(home: Path) -> None:
    """Recorded."""
    async with bench(configure(home, top=FREE)) as engine:
        outputs = await engine.calls(await engine.start(), ("ask", "{}"), ("ask", CONSENT))
        assert not engine.sink.asked
    answers = [msgspec.json.decode(msgspec.json.decode(framed(output))[0]["text"]) for output in outputs]
    assert answers == [{"action": "decline"}, {"action": "accept", "content": {}}]


@pytest.mark.parametrize(
    "question",
    [
        '{"message": "no form"}',
        '{"message": "m", "requestedSchema": {"type": "object", "properties": {"a": {"type": "weird"}}}}',
    ],
)
async def test_a_question_nobody_could_answer_is_an_error_of_the_server(home: Path, question: str) -> None:
    """Recorded."""
    async with bench(configure(home, top=ASKING)) as engine:
        [output] = await engine.calls(await engine.start(), ("ask", f'{{"question": {question}}}'))
        assert not engine.sink.asked
    error = msgspec.json.decode(msgspec.json.decode(framed(output))[0]["text"])
    assert error == {"code": -32601, "message": "elicitation/create"}


async def test_a_server_may_ask_outside_of_turns(home: Path) -> None:
    """Recorded: the thread waits although no turn runs."""
    async with bench(configure(home, top=ASKING)) as engine:
        thread = await engine.start()
        statuses: list[p.ThreadStatus] = []

        def answer(params: Any) -> p.McpServerElicitationRequestResponse:
            statuses.append(engine.host.threads.status(thread))
            assert params.turn_id is None
            return p.McpServerElicitationRequestResponse(action="cancel")

        engine.sink.answer = answer
        call = p.McpServerToolCallParams(thread_id=thread, server="plain", tool="ask")
        answered = await engine.host.mcp.call(call)
        assert answered.content == [{"type": "text", "text": '{"action": "cancel"}'}]
        assert statuses == [p.ActiveThreadStatus(active_flags=["waitingOnApproval"])]
        await until(lambda: engine.host.threads.status(thread) == p.IdleThreadStatus())


# -- resources


async def test_the_model_looks_at_resources(home: Path) -> None:
    async with bench(configure(home, top=FREE)) as engine:
        outputs = await engine.calls(
            await engine.start(),
            ("list_mcp_resources", ""),
            ("list_mcp_resources", "[]"),
            ("list_mcp_resources", '{"server": "plain"}'),
            ("read_mcp_resource", '{"server": " plain ", "uri": "plain://a"}'),
            ("read_mcp_resource", '{"server": "plain", "uri": "plain://b"}'),
            ("list_mcp_resource_templates", '{"server": "nope"}'),
            ("list_mcp_resources", '{"cursor": "x"}'),
            ("read_mcp_resource", '{"server": "plain"}'),
            ("read_mcp_resource", '{"server": "", "uri": "x"}'),
            namespace=None,
        )
        shown = [(item.server, item.tool, item.status) for item in engine.items("item/completed")]
    entry = '{"server":"plain","uri":"plain://a","name":"a"}'
    assert outputs == [
        f'{{"resources":[{entry}]}}',
        f'{{"resources":[{entry}]}}',
        f'{{"server":"plain","resources":[{entry}]}}',
        '{"server":"plain","uri":"plain://a","contents":[{"uri":"plain://a","text":"aye"}]}',
        "resources/read failed: resources/read failed for `plain` (plain://b): Mcp error: -32002: not found",
        "resources/templates/list failed: unknown MCP server 'nope'",
        "cursor can only be used when a server is specified",
        "failed to parse function arguments: missing field `uri`",
        "server must be provided",
    ]
    assert shown == [
        ("codex", "list_mcp_resources", "completed"),
        ("codex", "list_mcp_resources", "completed"),
        ("plain", "list_mcp_resources", "completed"),
        ("plain", "read_mcp_resource", "completed"),
        ("plain", "read_mcp_resource", "failed"),
        ("nope", "list_mcp_resource_templates", "failed"),
        ("codex", "list_mcp_resources", "failed"),
    ]


# -- servers and threads


async def test_clients_hear_how_servers_start(home: Path) -> None:
    async with bench(configure(home, mode="exit")) as engine:
        await engine.start()
        await until(lambda: len(engine.sink.of("mcpServer/startupStatus/updated")) == 2)
        begun, failed = engine.sink.of("mcpServer/startupStatus/updated")
    assert (begun.name, begun.status, begun.error) == ("plain", "starting", None)
    assert failed.status == "failed" and failed.error.startswith("MCP client for `plain` failed to start: ")


async def test_a_thread_does_not_start_without_a_server_it_requires(home: Path) -> None:
    async with bench(configure(home, mode="exit", server="required = true")) as engine:
        with pytest.raises(Internal) as refused:
            await engine.start()
        assert engine.host.threads.ids() == []
    assert refused.value.message == (
        "error creating thread: Fatal error: Failed to initialize session: required MCP servers failed to initialize: "
        "plain: handshaking with MCP server failed: connection closed: initialize response"
    )


async def test_servers_end_with_their_thread(home: Path) -> None:
    async with bench(configure(home, top=FREE)) as engine:
        thread = await engine.start()
        await engine.calls(thread, ("echo_it", "{}"))
        pid = int(log(home).split()[0])
        os.kill(pid, 0)
        await engine.host.threads.unload(thread)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_resumed_threads_have_servers_too(home: Path) -> None:
    async with bench(configure(home, top=FREE)) as engine:
        thread = await engine.start()
        await engine.turn(thread)
        await engine.host.threads.unload(thread)
        await engine.resume(thread)
        [output] = await engine.calls(thread, ("echo_it", "{}"))
        assert "did" in output
        fork = await engine.fork(thread)
        [output] = await engine.calls(fork.thread.id, ("echo_it", "{}"))
        assert "did" in output


async def test_a_reload_takes_effect_with_the_next_turn(home: Path) -> None:
    """Recorded: nothing is said at the reload itself."""
    async with bench(configure(home, top=FREE)) as engine:
        thread = await engine.start()
        await engine.turn(thread)
        configure(home, top=FREE, name="other")
        told = len(engine.sink.of("mcpServer/startupStatus/updated"))
        engine.host.mcp.reload()
        await anyio.sleep(0.02)
        assert len(engine.sink.of("mcpServer/startupStatus/updated")) == told
        await engine.turn(thread)
        fresh = engine.sink.of("mcpServer/startupStatus/updated")[told:]
        assert [(each.name, each.status) for each in fresh] == [("other", "starting"), ("other", "ready")]
        names = [msgspec.json.decode(each).get("name") for each in engine.model.requests[-1].body.tools]
        assert "mcp__other__" in names and "mcp__plain__" not in names


# -- methods


async def test_a_client_may_call_a_tool_without_a_turn(home: Path) -> None:
    async with bench(configure(home)) as engine:
        thread = await engine.start()
        call = p.McpServerToolCallParams(thread_id=thread, server="plain", tool="echo-it", arguments={"t": 1})
        answer = await engine.host.mcp.call(call)
        assert answer.content == [{"type": "text", "text": 'did {"t": 1}'}]
        for broken, message in (
            ({"server": "nope"}, "unknown MCP server 'nope'"),
            (
                {"arguments": [1]},
                "tool call failed for `plain/echo-it`: " + NOT_OBJECT,
            ),
            ({"tool": "nothing"}, "tool call failed for `plain/nothing`: Mcp error: -32602: unknown tool"),
        ):
            with pytest.raises(Internal) as refused:
                await engine.host.mcp.call(msgspec.structs.replace(call, **broken))
            assert refused.value.message == message
        with pytest.raises(BadRequest, match="thread not found"):
            await engine.host.mcp.call(msgspec.structs.replace(call, thread_id="0199a213-81c0-7800-8aa1-bbab2a035a53"))
    assert not list((home / "sessions").rglob("*.jsonl"))


async def test_a_page_of_servers(home: Path) -> None:
    configure(home)
    with (home / "config.toml").open("a") as file:
        file.write(
            '[mcp_servers.missing]\ncommand = "/nonexistent/x"\n[mcp_servers.web]\nurl = "http://127.0.0.1:9/"\n'
        )
        file.write('enabled = false\nbearer_token_env_var = "T"\n')
    async with bench(home) as engine:
        page = await engine.host.mcp.status(p.ListMcpServerStatusParams())
        assert [(each.name, each.auth_status) for each in page.data] == [
            ("missing", "unsupported"),
            ("plain", "unsupported"),
            ("web", "bearerToken"),
        ]
        missing, plain, _ = page.data
        assert not missing.tools and list(plain.tools)[:2] == ["echo-it", "act"]
        assert [each.uri for each in plain.resources] == ["plain://a"] and page.next_cursor is None
        first = await engine.host.mcp.status(p.ListMcpServerStatusParams(limit=0, detail="toolsAndAuthOnly"))
        assert [each.name for each in first.data] == ["missing"] and first.next_cursor == "1"
        second = await engine.host.mcp.status(
            p.ListMcpServerStatusParams(limit=1, cursor="1", detail="toolsAndAuthOnly")
        )
        assert [(each.name, each.resources) for each in second.data] == [("plain", [])]
        for cursor, message in (("x", "invalid cursor: x"), ("9", "cursor 9 exceeds total MCP servers 3")):
            with pytest.raises(BadRequest) as refused:
                await engine.host.mcp.status(p.ListMcpServerStatusParams(cursor=cursor))
            assert refused.value.message == message


async def test_a_resource_is_read_with_a_thread_or_without(home: Path) -> None:
    async with bench(configure(home)) as engine:
        thread = await engine.start()
        for thread_id in (thread, None):
            read = p.McpResourceReadParams(thread_id=thread_id, server="plain", uri="plain://a")
            assert [each.text for each in (await engine.host.mcp.read(read)).contents] == ["aye"]
            with pytest.raises(Internal) as refused:
                await engine.host.mcp.read(msgspec.structs.replace(read, server="nope"))
            assert refused.value.message == "unknown MCP server 'nope'"


# -- a server of the SDK, over stdio


async def test_a_real_server_serves_a_turn(home: Path) -> None:
    environment = f'env = {{ PYTHONPATH = "{ROOT}", MCP_TEST_LOG = "{home}/real.log" }}'
    command = f'command = "{sys.executable}"\nargs = ["-m", "tests.engine.mcp_server"]'
    (home / "config.toml").write_text(f"{ASKING}\n{CONFIG}\n[mcp_servers.real]\n{command}\n{environment}\n")
    async with bench(home) as engine:
        engine.sink.answer = says("accept", content={"name": "Ann", "age": 7})
        outputs = await engine.calls(
            await engine.start(),
            ("echo", '{"text": "hey"}'),
            ("numbers", '{"count": 2}'),
            ("pixel", "{}"),
            ("count", "{}"),
            ("ask", "{}"),
            ("write", '{"path": "p"}'),
            ("seen", "{}"),
            namespace="mcp__real__",
        )
        await until(lambda: len(engine.sink.of("item/mcpToolCall/progress")) == 3)
        messages = {each.message for each in engine.sink.of("item/mcpToolCall/progress")}
        turn_id = engine.sink.of("turn/started")[0].turn.id
    assert framed(outputs[0]) == '[{"type":"text","text":"echo: hey"}]'
    assert framed(outputs[1]) == '{"0":0,"1":1}'
    assert [part["type"] for part in outputs[2]] == ["input_text", "input_text", "input_image"]
    assert messages == {"at 0", "at 1", "at 2"}
    assert "Ann" in outputs[4] and "written" in outputs[5]
    assert [question.message for question in engine.sink.asked] == [
        "Who are you?",
        'Allow the real MCP server to run tool "write"?',
    ]
    meta = msgspec.json.decode(msgspec.json.decode(framed(outputs[6]))[0]["text"])["meta"]
    assert meta["x-codex-turn-metadata"]["turn_id"] == turn_id
    assert meta["threadId"] == meta["x-codex-turn-metadata"]["session_id"]
    assert (home / "real.log").read_text() == "started\nwrite p\nended\n"
