"""The `tool_search` tool: how a model finds the tools of clients whose loading is deferred.

The tools are ranked as a search engine ranks documents (Okapi BM25), by the words of their names and descriptions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.calls.dynamic_specs import entries
from engine.turn.machine import Script
from engine.turn.replies import CallFailed
from rollouts import events as ev

DEFAULT_LIMIT = 8
_K1, _B = 1.2, 0.75
_WORD = re.compile(r"[a-z]+|[0-9]+")


class SearchToolCallParams(msgspec.Struct, frozen=True):
    """Arguments of `tool_search`."""

    query: str
    limit: int = DEFAULT_LIMIT


def search(tools: Sequence[ev.DynamicToolSpec], arguments: msgspec.Raw) -> Script:
    """Find deferred tools, the best first; the result is their entries.

    :raises CallFailed: the arguments are none; the model is told of no tools then.
    """
    yield from ()  # a script, though this one never waits
    try:
        given = msgspec.json.decode(arguments, type=SearchToolCallParams)
    except msgspec.MsgspecError as error:
        raise CallFailed(f"failed to parse tool_search arguments: {error}") from error
    deferred = [tool for tool in tools if tool.defer_loading]
    scores = _scores(_words(given.query), [_words(_text(tool)) for tool in deferred])
    ranked = sorted((at for at, score in enumerate(scores) if score > 0), key=lambda at: -scores[at])
    return tuple(entries(deferred[at] for at in ranked[: max(given.limit, 0)]))


def _text(tool: ev.DynamicToolSpec) -> str:
    schema: Any = msgspec.json.decode(tool.input_schema)
    members = schema.get("properties") if isinstance(schema, dict) else None
    return " ".join((tool.namespace or "", tool.name, tool.description, *(members or ())))


def _words(text: str) -> Counter[str]:
    """The words of a text, without the `s` of a plural."""
    spread = re.sub(r"([a-z])([A-Z])", r"\1 \2", text)
    return Counter(word.removesuffix("s") or word for word in _WORD.findall(spread.lower()))


def _scores(query: Counter[str], texts: Sequence[Counter[str]]) -> list[float]:
    average = sum(text.total() for text in texts) / len(texts) if texts else 0.0
    known = Counter(word for text in texts for word in text)
    rarity = {word: math.log(1 + (len(texts) - known[word] + 0.5) / (known[word] + 0.5)) for word in query}
    return [
        sum(
            rarity[word] * text[word] * (_K1 + 1) / (text[word] + _K1 * (1 - _B + _B * text.total() / average))
            for word in query
            if text[word]
        )
        for text in texts
    ]
