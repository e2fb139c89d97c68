"""What the audience of the demo sees: headings, the messages on the wire, and what was found to be so.

Prints and counts; knows of messages only how to say them in a line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from rich.console import Console
from rich.text import Text

from tools.client import Message

WIDTH: Final = 118
"""Columns where the output is no terminal."""

_LONGEST: Final = 76
"""Characters of a text that are shown."""


class Stage:
    """The screen of one demo."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = WIDTH
        self.held = 0
        self.failed = 0
        self._asked: dict[object, str] = {}
        self._names: dict[str, str] = {}
        self._last_delta = ""
        self._deltas = 0
        self._brief = False

    def act(self, title: str) -> None:
        """Begin a part of the story."""
        self._end_deltas()
        self.console.print()
        self.console.rule(f"[bold]{title}", align="left")

    def say(self, text: str) -> None:
        """Tell what happens next."""
        self._end_deltas()
        self.console.print(Text(text), style="dim", soft_wrap=True)

    def be_brief(self) -> None:
        """From here on leave out what every turn repeats."""
        self._brief = True
        self.say("(From here on, what every turn repeats is left out.)")

    def name(self, thread_id: str, name: str) -> None:
        """Show a thread or turn by a name instead of its id."""
        self._names[thread_id] = name

    def check(self, claim: str, expected: object, found: object) -> None:
        """Say whether a claim holds: what was found is what was expected."""
        self._end_deltas()
        if found == expected:
            self.held += 1
            self.console.print(Text.assemble(("  ✓ ", "bold green"), claim))
        else:
            self.failed += 1
            self.console.print(Text.assemble(("  ✗ ", "bold red"), claim))
            self.console.print(Text(f"      expected {expected!r}\n      found    {found!r}"))

    def observe(self, direction: Literal["sent", "received"], message: Message) -> None:
        """Show a message on the wire in a line; deltas in a row are one line."""
        method = message.get("method")
        if method is None:
            self._answer(message)
        elif method.lower().endswith("delta"):
            self._deltas += 1
            self._last_delta = method
        else:
            if "id" in message:
                self._asked[message["id"]] = method
            if not (self._brief and method in _ROUTINE):
                arrow = "→" if direction == "sent" else "←"
                self._line(arrow, method, self._tell(method, message.get("params") or {}))

    def restarted(self) -> None:
        """The ids of requests begin anew."""
        self._end_deltas()
        self._asked.clear()

    def _answer(self, message: Message) -> None:
        method = self._asked.get(message["id"], "?")
        if "error" in message:
            self._line("←", f"{method} refused", message["error"]["message"])
        elif not (self._brief and f"{method} answer" in _ROUTINE):
            self._line("←", f"{method} answer", self._tell(f"{method} answer", message["result"]))

    def _end_deltas(self) -> None:
        count, self._deltas = self._deltas, 0
        if count and not (self._brief and self._last_delta in _ROUTINE):
            self._print("←", self._last_delta, f"×{count}")

    def _line(self, arrow: str, method: str, told: str) -> None:
        self._end_deltas()
        self._print(arrow, method, told)

    def _print(self, arrow: str, method: str, told: str) -> None:
        colour = "cyan" if arrow == "→" else "blue"
        text = Text.assemble(f"  {arrow} ", (f"{method:<27}", colour), f" {told}")
        text.rstrip()
        self.console.print(text, no_wrap=True, overflow="ellipsis")

    def _tell(self, method: str, params: Mapping[str, Any]) -> str:
        tell = _TELL.get(method)
        words = tell(params) if tell else ""
        thread_id = params.get("threadId") or params.get("thread", {}).get("id")
        name = self._names.get(thread_id, f"…{thread_id[-6:]}") if thread_id else ""
        return "  ".join(part for part in (name and f"[{name}]", words) if part)


def short(text: str) -> str:
    """A text in a line of its own."""
    flat = " ".join(text.split())
    return f"“{flat}”" if len(flat) <= _LONGEST else f"“{flat[: _LONGEST - 1]}…”"


def item_text(item: Mapping[str, Any]) -> str:
    """The words of an item, whoever said them."""
    return "".join(part.get("text", "") for part in item.get("content", ())) or str(item.get("text", ""))


def tokens(usage: Mapping[str, Any]) -> str:
    """Usage in words."""
    total, last = usage["total"], usage["last"]
    return f"{total['totalTokens']:,} tokens in all, {last['totalTokens']:,} of them by the last request"


def _thread(params: Mapping[str, Any]) -> str:
    thread = params["thread"]
    origin = f", forkedFromId …{thread['forkedFromId'][-6:]}" if thread["forkedFromId"] else ""
    return f"{thread['status']['type']}, {len(thread['turns'])} turns{origin}"


def _item(params: Mapping[str, Any]) -> str:
    item = params["item"]
    text = item_text(item)
    return f"{item['type']} {short(text)}" if text else str(item["type"])


def _input(params: Mapping[str, Any]) -> str:
    return short(item_text({"content": params["input"]}))


def _plan(params: Mapping[str, Any]) -> str:
    marks = {"completed": "x", "inProgress": ">", "pending": " "}
    return "; ".join(f"[{marks[step['status']]}] {step['step']}" for step in params["plan"])


_SHOWN: Final = ("sessionStartSource", "cwd")
_ROUTINE: Final = frozenset(
    {
        "initialize",
        "initialize answer",
        "initialized",
        "account/rateLimits/updated",
        "thread/status/changed",
        "turn/start answer",
        "turn/started",
        "item/started",
        "item/agentMessage/delta",
    }
)

_TELL: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "initialize": lambda params: f"client {params['clientInfo']['name']}",
    "initialize answer": lambda params: str(params["userAgent"]),
    "thread/start": lambda params: ", ".join(f"{name} {params[name]}" for name in _SHOWN if name in params),
    "thread/start answer": lambda params: f"{params['model']} of provider {params['modelProvider']}",
    "thread/started": _thread,
    "thread/resume answer": _thread,
    "thread/fork answer": _thread,
    "thread/status/changed": lambda params: str(params["status"]["type"]),
    "thread/tokenUsage/updated": lambda params: tokens(params["tokenUsage"]),
    "thread/unsubscribe answer": lambda params: str(params["status"]),
    "thread/list answer": lambda params: f"{len(params['data'])} threads",
    "thread/turns/list answer": lambda params: f"{len(params['data'])} turns",
    "turn/start": _input,
    "turn/start answer": lambda params: f"turn …{params['turn']['id'][-6:]} {params['turn']['status']}",
    "turn/started": lambda params: f"turn …{params['turn']['id'][-6:]}",
    "turn/completed": lambda params: f"turn …{params['turn']['id'][-6:]} {params['turn']['status']}",
    "turn/plan/updated": _plan,
    "item/started": _item,
    "item/completed": _item,
}
