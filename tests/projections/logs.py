"""Random rollouts: what threads do, in any order, as lines on disk.

A `Maker` writes what the engine or an older version would write for one deed (a turn, a rollback, a late end of a
command, ...); `logs()` is a Hypothesis strategy of whole rollouts made of such deeds, with garbage between. Everything
is deterministic in what Hypothesis drew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from hypothesis import strategies as st

from rollouts import codec
from rollouts import events as ev
from rollouts.log import MemoryLog

THREAD = "019da010-0000-7000-8000-000000000001"
PARENT = "019da010-0000-7000-8000-000000000002"
STAMP = "2026-04-20T10:00:00.000Z"

GARBAGE = (
    b"\n",
    b"{}\n",
    b"null\n",
    b"[]\n",
    b"not json at all\n",
    b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"event_msg","payload":{"type":"no_such_event","x":1}}\n',
    b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"event_msg","payload":{"type":"task_started"}}\n',
    b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"event_msg","payload":{"type":"token_count","info":{}}}\n',
    b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"world_state","payload":{"full":true}}\n',
    b'{"type":"event_msg","payload":{"type":"thread_rolled_back","num_turns":1}}\n',
    b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"response_item","payload":{"type":"message","role":"user"}}\n',
    b'{"timestamp":"x","type":"compacted","payload":{}}\n',
    b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"event_msg","payload":{"type":"thread_rolled_back","num_tu',
)
"""Lines that say nothing; the last one is torn (a maker ends it before it goes on)."""


def message(role: str, *texts: str, **more: Any) -> ev.Message:
    """A message of the history."""
    part = ev.OutputText if role == "assistant" else ev.InputText
    return ev.Message(role=role, content=tuple(part(text=text) for text in texts), **more)


def usage(total: int, last: int) -> ev.TokenUsageInfo:
    """Usage with these totals."""

    def of(tokens: int) -> ev.TokenUsage:
        return ev.TokenUsage(tokens, 0, 0, 0, tokens)

    return ev.TokenUsageInfo(of(total), of(last), 258400)


def context(turn_id: str | None, model: str = "gpt-5.1-codex") -> ev.TurnContext:
    """A `turn_context` line."""
    return ev.TurnContext(
        turn_id=turn_id,
        cwd="/workspace/demo",
        approval_policy="never",
        sandbox_policy=msgspec.Raw(b'{"type":"danger-full-access"}'),
        model=model,
        summary="auto",
    )


def meta(thread_id: str = THREAD, **more: Any) -> ev.SessionMeta:
    """A `session_meta` line."""
    return ev.SessionMeta(
        id=thread_id,
        timestamp=STAMP,
        cwd="/workspace/demo",
        originator="test",
        cli_version="0.125.0",
        base_instructions=ev.BaseInstructions("You are a coding agent."),
        **more,
    )


def command_end(call_id: str, turn_id: str, output: str = "out") -> ev.ExecCommandEnd:
    """The end of a command."""
    return ev.ExecCommandEnd(
        call_id=call_id,
        turn_id=turn_id,
        command=("bash", "-lc", "ls"),
        cwd="/workspace/demo",
        parsed_cmd=(ev.ParsedListFiles("ls"),),
        stdout="",
        stderr="",
        aggregated_output=output,
        exit_code=0,
        duration=ev.Duration(0, 5_000_000),
        formatted_output="",
        status="completed",
    )


class Maker:
    """Collects lines. Turn and call ids count up; `turns` are the ids of all explicit turns so far."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.turns: list[str] = []
        self.calls = 0
        self.said = 0

    def write(self, *bodies: ev.Body) -> None:
        for body in bodies:
            self.raw(codec.encode(body, STAMP))

    def raw(self, line: bytes) -> None:
        if self.lines and not self.lines[-1].endswith(b"\n"):
            self.lines[-1] += b"\n"
        self.lines.append(line)

    def next_call(self) -> str:
        self.calls += 1
        return f"call_{self.calls}"

    def text(self, word: str) -> str:
        self.said += 1
        return f"{word} {self.said}"

    @property
    def turn_id(self) -> str:
        return self.turns[-1] if self.turns else "nobody"

    def any_turn(self, back: int) -> str:
        """The id of an earlier turn, or one that never was."""
        return self.turns[-1 - back] if back < len(self.turns) else "nobody"

    # What happens inside a turn

    def user(self, text: str | None = None) -> None:
        said = self.text("ask") if text is None else text
        self.write(message("user", said), ev.UserMessage(message=said, images=()))

    def agent(self) -> None:
        text = self.text("answer")
        self.write(ev.AgentMessage(message=text), message("assistant", text))

    def reasoning(self, parts: int) -> None:
        self.write(*(ev.AgentReasoning(text=self.text("thought")) for _ in range(parts)))
        self.write(ev.AgentReasoningRawContent(text="raw"))
        self.write(ev.Reasoning(summary=(), encrypted_content="x" * 1000))

    def call(self, answered: bool, extended: bool) -> None:
        call_id = self.next_call()
        self.write(ev.FunctionCall(name="exec_command", arguments="{}", call_id=call_id))
        if extended:
            self.write(command_end(call_id, self.turn_id))
        if answered:
            self.write(ev.FunctionCallOutput(call_id=call_id, output=self.text("output")))

    def orphan_output(self) -> None:
        self.write(ev.FunctionCallOutput(call_id="nobody's", output="lost"))

    def patch(self, named: bool) -> None:
        self.write(
            ev.PatchApplyEnd(
                call_id=self.next_call(),
                turn_id=self.turn_id if named else "",
                stdout="",
                stderr="",
                success=True,
                changes={"/workspace/demo/a.txt": ev.AddFile("A\n")},
                status="completed",
            )
        )

    def search(self) -> None:
        call_id = self.next_call()
        action = ev.WebSearchAction(type="search", query="q")
        self.write(ev.WebSearchEnd(call_id=call_id, query="q", action=action))
        self.write(ev.WebSearchCall(status="completed", action=action))

    def hook_prompt(self) -> None:
        self.write(message("user", f'<hook_prompt hook_run_id="r">{self.text("go on")}</hook_prompt>'))

    def tokens(self, with_info: bool, amount: int) -> None:
        self.write(ev.TokenCount(info=usage(amount, amount) if with_info else None))

    def error(self, kind: str) -> None:
        self.write(ev.ErrorEvent(message="it broke", codex_error_info=kind))

    def turn_item(self, back: int) -> None:
        self.write(ev.ItemCompleted(THREAD, self.any_turn(back), ev.PlanItem(f"{self.any_turn(back)}-plan", "# Plan")))

    def newer_item(self) -> None:
        item = ev.AgentMessageItem(self.next_call(), (ev.AgentText("from a newer version"),))
        self.write(ev.ItemCompleted(THREAD, self.turn_id, item))

    # Turns and what happens between them

    def start(self, told: bool, model: str) -> None:
        self.turns.append(f"turn-{len(self.turns) + 1}")
        self.write(ev.TaskStarted(turn_id=self.turn_id, started_at=100 + len(self.turns)))
        if told:
            self.tell(model)
        else:
            self.write(context(self.turn_id, model))

    def tell(self, model: str) -> None:
        self.write(
            message("developer", f"<permissions instructions>{model}</permissions instructions>"),
            message("user", f"<environment_context>{model}</environment_context>"),
            context(self.turn_id, model),
        )

    def finish(self, how: str) -> None:
        if how == "completed":
            self.write(ev.TaskComplete(turn_id=self.turn_id, completed_at=200, duration_ms=1))
        elif how == "interrupted":
            self.write(message("user", "<turn_aborted>stop</turn_aborted>"))
            self.write(ev.TurnAborted(turn_id=self.turn_id, reason="interrupted", completed_at=200))
        elif how == "old":
            self.write(ev.TurnAborted(reason="interrupted"))

    def compact(self, kept: int | None) -> None:
        replacement = None
        if kept is not None:
            items = [message("user", f"kept {i}") for i in range(kept)]
            items.append(message("user", "Another language model started to solve this problem"))
            replacement = tuple(msgspec.Raw(codec.encode_item(item)) for item in items)
        self.write(ev.Compacted(message=self.text("summary"), replacement_history=replacement))
        self.write(ev.ContextCompacted())

    def roll_back(self, count: int) -> None:
        self.write(ev.ThreadRolledBack(num_turns=count))

    def inject(self, role: str) -> None:
        self.write(message(role, self.text("injected")))

    def shell(self) -> None:
        self.turns.append(f"turn-{len(self.turns) + 1}")
        self.write(ev.TaskStarted(turn_id=self.turn_id, started_at=1))
        self.write(message("user", "<user_shell_command>ls</user_shell_command>"))
        self.write(ev.TaskComplete(turn_id=self.turn_id))

    def late(self, back: int, again: bool) -> None:
        call_id = f"call_{max(self.calls - back, 1)}" if again else self.next_call()
        self.write(command_end(call_id, self.any_turn(back), "late"))

    def assessment(self, status: Any, back: int, named: bool) -> None:
        self.write(
            ev.GuardianAssessment(
                id=f"review-{self.calls}",
                target_item_id=f"call_{max(self.calls - back, 1)}",
                turn_id=self.any_turn(back) if named else "",
                status=status,
                action=ev.CommandAction("shell", "rm -rf b", "/workspace/demo"),
            )
        )

    def engine_lines(self) -> None:
        self.write(
            ev.Approval(turn_id=self.turn_id, call_id="call_1", kind="command", decision="accept", decided_by="user"),
            ev.HookRun(
                self.turn_id,
                ev.HookRunRecord(
                    id="run", event_name="stop", source="user", status="completed", started_at=1, entries=()
                ),
            ),
        )

    def review(self, status: Any) -> None:
        action = ev.CommandAction("shell", "ls", "/")
        self.write(ev.Review(review_id=f"r{self.calls}", turn_id=self.turn_id, status=status, action=action))

    def task(self, registered: bool) -> None:
        self.write(ev.SessionState(ev.AgentTask("runtime", "task", STAMP) if registered else None))

    def name(self, thread_id: str) -> None:
        self.write(ev.ThreadNameUpdated(thread_id, self.text("name")))

    def another_meta(self, thread_id: str) -> None:
        self.write(meta(thread_id, memory_mode="disabled"))

    def open_review(self) -> None:
        self.write(ev.EnteredReviewMode(ev.UncommittedChanges()), ev.ExitedReviewMode())

    def numbered_id(self, k: int) -> None:
        self.write(command_end(f"item-{k}", self.turn_id))


Deed = Callable[[Maker], None]


def _deed(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Deed]:
    def bind(drawn: tuple[Any, ...]) -> Deed:
        return lambda maker: getattr(maker, name)(*drawn)

    return st.tuples(*arguments).map(bind)


_FEW = st.integers(0, 4)
_MODELS = st.sampled_from(["gpt-5.1-codex", "gpt-5.4"])

INSIDE = st.one_of(
    _deed("agent"),
    _deed("user"),
    _deed("reasoning", st.integers(0, 2)),
    _deed("call", st.booleans(), st.booleans()),
    _deed("orphan_output"),
    _deed("patch", st.booleans()),
    _deed("search"),
    _deed("hook_prompt"),
    _deed("tokens", st.booleans(), st.integers(1, 1000)),
    _deed("error", st.sampled_from(["other", "thread_rollback_failed"])),
    _deed("turn_item", _FEW),
    _deed("newer_item"),
    _deed("compact", st.none() | _FEW),
    _deed("tell", _MODELS),
    _deed("open_review"),
)
BETWEEN = st.one_of(
    _deed("roll_back", st.integers(0, 4)),
    _deed("compact", st.none() | _FEW),
    _deed("inject", st.sampled_from(["user", "assistant", "developer"])),
    _deed("shell"),
    _deed("late", _FEW, st.booleans()),
    _deed(
        "assessment",
        st.sampled_from(["in_progress", "approved", "denied", "timed_out", "aborted"]),
        _FEW,
        st.booleans(),
    ),
    _deed("engine_lines"),
    _deed("review", st.sampled_from(["in_progress", "approved", "denied"])),
    _deed("task", st.booleans()),
    _deed("name", st.sampled_from([THREAD, PARENT])),
    _deed("another_meta", st.sampled_from([THREAD, PARENT])),
    _deed("numbered_id", st.integers(0, 6)),
    _deed("raw", st.sampled_from(GARBAGE)),
)


@st.composite
def _turn(draw: st.DrawFn) -> Deed:
    explicit = draw(st.integers(0, 4)) > 0
    told, model = draw(st.booleans()), draw(_MODELS)
    asks = draw(st.integers(0, 5)) > 0
    inside = draw(st.lists(INSIDE, max_size=4))
    how = draw(st.sampled_from(["completed", "completed", "completed", "interrupted", "old", "open"]))

    def make(maker: Maker) -> None:
        if explicit:
            maker.start(told, model)
        if asks:
            maker.user()
        for deed in inside:
            deed(maker)
        if explicit:
            maker.finish(how)

    return make


def logs(*, max_deeds: int = 12) -> st.SearchStrategy[list[bytes]]:
    """Whole rollouts, line by line."""
    return st.lists(st.one_of(_turn(), _turn(), BETWEEN), max_size=max_deeds).map(written)


def written(deeds: Iterable[Deed]) -> list[bytes]:
    """The lines of a rollout in which these things happened."""
    maker = Maker()
    maker.write(meta())
    for deed in deeds:
        deed(maker)
    return maker.lines


def memory_log(lines: Iterable[bytes]) -> MemoryLog:
    """A log in memory with these lines."""
    log = MemoryLog()
    log.append([line.removesuffix(b"\n") for line in lines], expected_end=0)
    return log


def decoded(lines: Iterable[bytes]) -> list[codec.Line | codec.BadLine]:
    """The lines as the folds see them."""
    return [codec.decode(line) for line in lines]
