"""The context messages of a thread: all of it once, later only what changed (spec: turns, section 5).

Pure. The messages are history like everything else: they are written, and sent again as written.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.context.environment import Environment, environment_text
from engine.context.permissions_text import permissions_text
from engine.permissions.legacy import core_policy, core_profile
from engine.settings import Settings
from engine.settings_forms import collaboration_mode
from projections import protocol as p
from rollouts import events as ev


def initial(settings: Settings, environment: Environment, sections: Sequence[str] = ()) -> list[ev.Message]:
    """The context of a fresh thread: a developer message, then a user message; either is left out when empty.

    :param sections: further parts of the developer message, ready with their tags (skills, apps, ...)
    """
    parts = [
        _permissions(settings),
        settings.developer_instructions,
        _mode(settings),
        *sections,
    ]
    user = [_instructions(settings), _environment(settings, environment, str(settings.cwd))]
    return _messages(parts, user)


def changes(
    previous: ev.TurnContext,
    settings: Settings,
    environment: Environment,
) -> list[ev.Message]:
    """What to tell the model before a turn that differs from the last turn's context."""
    switched = previous.model != settings.model
    parts = [
        _model_switch(settings) if switched else None,
        _permissions(settings) if _permissions_differ(previous, settings) else None,
        _mode(settings) if previous.collaboration_mode != collaboration_mode(settings) else None,
        _personality(settings) if not switched and previous.personality != settings.personality else None,
    ]
    moved = previous.cwd != str(settings.cwd)
    dated = (previous.current_date, previous.timezone) != (environment.current_date, environment.timezone)
    around = _environment(settings, environment, str(settings.cwd) if moved else None) if moved or dated else None
    return _messages(parts, [around])


def _messages(developer: Sequence[str | None], user: Sequence[str | None]) -> list[ev.Message]:
    written = []
    for role, texts in (("developer", developer), ("user", user)):
        parts = tuple(ev.InputText(text) for text in texts if text)
        if parts:
            written.append(ev.Message(role=role, content=parts))
    return written


def _permissions(settings: Settings) -> str | None:
    if not settings.config.include_permissions_instructions:
        return None
    sandbox = settings.sandbox
    writable = []
    if isinstance(sandbox, p.WorkspaceWriteSandboxPolicy):
        writable = [*sandbox.writable_roots, str(settings.cwd), *([] if sandbox.exclude_slash_tmp else ["/tmp"])]
    text = permissions_text(sandbox, settings.approval_policy, settings.approvals_reviewer, writable)
    return f"<permissions instructions>\n{text}\n</permissions instructions>"


def _permissions_differ(previous: ev.TurnContext, settings: Settings) -> bool:
    """Also true for a new cwd under workspace-write, as the profile names paths below it (observed).

    The sandbox policy counts where there is no profile, in files before 0.125.0.
    """
    profile = ev.given(previous.permission_profile)
    if profile is not None:
        same = msgspec.json.decode(profile) == core_profile(settings.permissions)
    else:
        same = msgspec.json.decode(previous.sandbox_policy) == core_policy(settings.sandbox)
    return not same or previous.approval_policy != msgspec.to_builtins(settings.approval_policy)


def _mode(settings: Settings) -> str | None:
    if not settings.mode_instructions:
        return None
    return f"<collaboration_mode>{settings.mode_instructions}</collaboration_mode>"


def _model_switch(settings: Settings) -> str:
    text = settings.info.instructions(settings.personality)
    return (
        "<model_switch>\nAnother model answered so far. Carry on with the conversation by these instructions:\n\n"
        f"{text}\n</model_switch>"
    )


def _personality(settings: Settings) -> str | None:
    text = settings.info.personality_text(settings.personality)
    if not text or not settings.info.supports_personality:
        return None
    return (
        "<personality_spec>\nThe user wants another manner from now on. Follow this description of it:\n\n"
        f"{text}\n</personality_spec>"
    )


def _instructions(settings: Settings) -> str | None:
    text = settings.instructions.text
    if text is None:
        return None
    return f"# AGENTS.md instructions for {settings.cwd}\n\n<INSTRUCTIONS>\n{text}\n</INSTRUCTIONS>"


def _environment(settings: Settings, environment: Environment, cwd: str | None) -> str | None:
    return environment_text(environment, cwd) if settings.config.include_environment_context else None
