"""What a thread says about itself apart from its turns: id, name, memory mode, git data with its overrides.

A fold over lines, used by the session state and by the catalog. A fork carries the lines of its source: their name is
its own until it is given another (observed), but their meta counts only when it is of this thread (spec rollout-format
3, 12).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from rollouts import events as ev


class Git(Struct, frozen=True, omit_defaults=True):
    """Commit, branch and remote; None is unknown, or cleared."""

    sha: str | None = None
    branch: str | None = None
    origin_url: str | None = None


class Metadata(Struct, frozen=True, omit_defaults=True):
    """The folded state; `thread_id` is "" before the first `session_meta`."""

    thread_id: str = ""
    name: str | None = None
    memory_mode: str | None = None
    recorded_git: Git | None = None
    git_override: ev.GitOverride = ev.GitOverride()

    @property
    def git(self) -> Git | None:
        """The git data to show: as recorded, with the overrides on top; None if nothing is known."""
        changes = {
            member: value
            for member in Git.__struct_fields__
            if (value := getattr(self.git_override, member)) is not UNSET
        }
        if not changes:
            return self.recorded_git
        shown = replace(self.recorded_git or Git(), **changes)
        return None if shown == Git() else shown


def apply(state: Metadata, body: ev.Body) -> Metadata:
    """The state after a line; the same object if the line says nothing about it."""
    step = _STEPS.get(type(body))
    return step(state, body) if step else state


def patched(old: ev.GitOverride, new: ev.GitOverride) -> ev.GitOverride:
    """Both overrides as one: a member of `new` that is absent leaves that of `old` (spec thread-lifecycle 9)."""
    members = ((member, getattr(new, member)) for member in new.__struct_fields__)
    return replace(old, **{member: value for member, value in members if value is not UNSET})


def _session_meta(state: Metadata, body: ev.SessionMeta) -> Metadata:
    if state.thread_id not in ("", body.id):
        return state
    git = body.git and Git(body.git.commit_hash, body.git.branch, body.git.repository_url)
    # a copy that thread/memoryMode/set appended changes the mode; other fields are those of the first
    return replace(
        state,
        thread_id=body.id,
        memory_mode=body.memory_mode if body.memory_mode is not None else state.memory_mode,
        recorded_git=state.recorded_git if state.thread_id else git,
    )


def _named(state: Metadata, body: ev.ThreadNameUpdated) -> Metadata:
    name = (body.thread_name or "").strip()  # a line without a name takes none away, as in the reference
    return replace(state, name=name) if name else state


def _changed(state: Metadata, body: ev.ThreadMetadata) -> Metadata:
    return replace(state, git_override=patched(state.git_override, body.git))


_STEPS: Final[Mapping[type, Callable[[Metadata, Any], Metadata]]] = {
    ev.SessionMeta: _session_meta,
    ev.ThreadNameUpdated: _named,
    ev.ThreadMetadata: _changed,
}
