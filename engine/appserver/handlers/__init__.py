"""The methods of the protocol and the handlers behind them, one module per area.

A module says which methods it serves in its ``HANDLERS`` table and is listed in :func:`all_handlers`; types,
capability gates and the order of methods come from the published protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.appserver.dispatch import Handler, Method
from projections import protocol as p

#: Names other versions of the protocol gave a method.
_METHOD_ALIASES = {"turn/inject_items": "thread/inject_items", "turn/injet_items": "thread/inject_items"}

#: Names other versions of the protocol gave a member of the params.
_MEMBER_ALIASES = {
    "turn/start": {"clientMetadata": "responsesapiClientMetadata"},
    "turn/steer": {"clientMetadata": "responsesapiClientMetadata"},
}


def all_handlers() -> dict[str, Handler]:
    """The handlers of every area. They bring the whole engine with them, so they are imported when asked for."""
    from engine.appserver.handlers import account, catalogs, commands, initialize, mcp, threads, turns

    areas = (
        initialize,
        account,
        catalogs,
        threads,
        turns,
        commands,
        mcp,
    )
    return {name: handler for area in areas for name, handler in area.HANDLERS.items()}


def methods(handlers: Mapping[str, Handler]) -> dict[str, Method]:
    """Every method a client may name, in the protocol's order, then the aliases; served by these handlers."""
    table = {name: _method(name, params, handlers) for name, (params, _answer) in p.CLIENT_METHODS.items()}
    return table | {alias: table[name] for alias, name in _METHOD_ALIASES.items()}


def _method(name: str, params: Any, handlers: Mapping[str, Handler]) -> Method:
    return Method(
        name=name,
        params=params,
        handler=handlers.get(name),
        experimental=name in p.EXPERIMENTAL_METHODS,
        gated_fields=_attributes(params, p.EXPERIMENTAL_FIELDS.get(name, {})),
        gated_types=p.EXPERIMENTAL_VARIANTS,
        aliases=_MEMBER_ALIASES.get(name, {}),
    )


def _attributes(params: Any, members: Mapping[str, str]) -> dict[str, str]:
    if not members:
        return {}
    names = dict(zip(params.__struct_encode_fields__, params.__struct_fields__, strict=True))
    return {names[member]: descriptor for member, descriptor in members.items()}
