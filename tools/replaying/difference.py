"""What changed between two JSON values: a list of paths with the value before and after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType

Json: TypeAlias = Any


class Change(Struct, frozen=True, omit_defaults=True):
    """One difference. `before` is absent for what is new, `after` for what is gone."""

    path: str
    before: Json | UnsetType = UNSET
    after: Json | UnsetType = UNSET


def changes(before: Json, after: Json, path: str = "") -> Iterator[Change]:
    """Every difference, in the order of the values.

    Members of objects are compared by name, elements of lists by their `id` if all have one. Of other lists, what
    both begin and end with is left out; where as many elements are left on both sides they are compared one by one,
    else they are gone and new.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _objects(before, after, path)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif before != after:
        yield Change(path, before, after)


def _objects(before: dict[str, Json], after: dict[str, Json], path: str) -> Iterator[Change]:
    for name in before | after:
        below = f"{path}.{name}" if path else name
        if name not in after:
            yield Change(below, before=before[name])
        elif name not in before:
            yield Change(below, after=after[name])
        else:
            yield from changes(before[name], after[name], below)


def _lists(before: list[Json], after: list[Json], path: str) -> Iterator[Change]:
    if (old := _by_id(before)) is not None and (new := _by_id(after)) is not None:
        yield from _identified(old, new, path)
        return
    shorter = min(len(before), len(after))
    start = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    end = next((n for n in range(shorter - start) if before[-1 - n] != after[-1 - n]), shorter - start)
    gone, came = before[start : len(before) - end], after[start : len(after) - end]
    if len(gone) == len(came):
        for number, (one, other) in enumerate(zip(gone, came, strict=True), start):
            yield from changes(one, other, f"{path}[{number}]")
        return
    for number, value in enumerate(gone, start):
        yield Change(f"{path}[{number}]", before=value)
    for number, value in enumerate(came, start):
        yield Change(f"{path}[{number}]", after=value)


def _by_id(values: list[Json]) -> dict[str, tuple[int, Json]] | None:
    """Place and element by id, None unless all elements have one of their own."""
    found = {
        repr(value["id"]): (n, value) for n, value in enumerate(values) if isinstance(value, dict) and "id" in value
    }
    return found if len(found) == len(values) else None


def _identified(before: dict[str, tuple[int, Json]], after: dict[str, tuple[int, Json]], path: str) -> Iterator[Change]:
    for name, (number, value) in before.items():
        if name in after:
            yield from changes(value, after[name][1], f"{path}[{after[name][0]}]")
        else:
            yield Change(f"{path}[{number}]", before=value)
    for name, (number, value) in after.items():
        if name not in before:
            yield Change(f"{path}[{number}]", after=value)
