"""How MCP tools are called towards the model: a namespace for each server, and names the model API accepts.

Pure. The rules, hashes included, are those of the reference, so that the calls in a rollout mean the same tools in
both engines (observed: `my-srv` -> `mcp__my_srv__`, collisions and long names get a hash).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec

MAX_LENGTH = 64
"""Characters of namespace and name together."""
_HASH_LENGTH = 12
_UNSAFE = re.compile(r"[^A-Za-z0-9_]")


class Named(msgspec.Struct, frozen=True):
    """A tool's own name and that of its server, and what the model calls it."""

    server: str
    tool: str
    namespace: str
    name: str


def qualify(tools: Iterable[tuple[str, str]]) -> list[Named]:
    """Names for tools given as (server, tool); each pair counts once. Sorted by what the model sees."""
    pairs = sorted(set(tools))
    taken: dict[str, set[str]] = {}
    for server, _ in pairs:
        taken.setdefault(_namespace(server), set()).add(server)
    named: list[Named] = []
    for server, tool in pairs:
        space = _namespace(server)
        if len(taken[space]) > 1:
            space = f"{space.removesuffix('__')}{_suffix(_server_identity(server))}__"
        named.append(Named(server, tool, space, _safe(tool)))
    return sorted(_apart(named), key=lambda each: (each.namespace, each.name))


def _apart(tools: list[Named]) -> list[Named]:
    """Two tools of one name both get a hash; what is too long is cut to make room for one."""
    counts: dict[tuple[str, str], int] = {}
    for each in tools:
        counts[each.namespace, each.name] = counts.get((each.namespace, each.name), 0) + 1
    return [_fit(each, alone=counts[each.namespace, each.name] == 1) for each in tools]


def _fit(each: Named, *, alone: bool) -> Named:
    suffix = _suffix(f"{_server_identity(each.server)}\0{each.tool}\0{each.tool}")
    name = each.name if alone else each.name + suffix
    if len(each.namespace) + len(name) <= MAX_LENGTH:
        return msgspec.structs.replace(each, name=name)
    room = MAX_LENGTH - len(each.namespace) - len(suffix)
    if room >= 0:
        return msgspec.structs.replace(each, name=each.name[:room] + suffix)
    return msgspec.structs.replace(each, namespace=each.namespace[: MAX_LENGTH - len(suffix)], name=suffix)


def _namespace(server: str) -> str:
    return _safe(f"mcp__{server}__")


def _safe(name: str) -> str:
    return _UNSAFE.sub("_", name) or "_"


def _server_identity(server: str) -> str:
    return f"{server}\0mcp__{server}__\0"


def _suffix(identity: str) -> str:
    return "_" + hashlib.sha1(identity.encode(), usedforsecurity=False).hexdigest()[:_HASH_LENGTH]
