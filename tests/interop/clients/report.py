"""What a client program prints for the test: `PROGRAM SERVER PROMPT [THREAD]` says the prompt and reports."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Task:
    """The command line: path of the server, what to say, and the thread to resume."""

    server: str
    prompt: str
    thread_id: str | None


def task() -> Task:
    """The task of this run."""
    server, prompt, *thread = sys.argv[1:]
    return Task(server, prompt, thread[0] if thread else None)


def report(*, thread_id: str, answer: str | None, total_tokens: object, turns: Sequence[Any]) -> None:
    """Print what the client got out of the server; `turns` as they are on the wire."""
    texts = [_text(item) for turn in turns for item in turn["items"]]
    print(json.dumps({"thread": thread_id, "answer": answer, "tokens": total_tokens, "texts": texts}))


def _text(item: dict[str, Any]) -> str:
    if item["type"] == "userMessage":
        return "".join(part["text"] for part in item["content"])
    return str(item["text"])
