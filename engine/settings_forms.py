"""The forms in which settings are seen: answers to clients, `turn_context` and `session_meta` lines.

Pure. Key order and what is left out follow the reference (spec: rollout-format, sections 3 and 6).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw

from engine.identity import VERSION
from engine.permissions.legacy import core_policy, core_profile
from engine.settings import Settings
from projections import protocol as p
from rollouts import events as ev

if TYPE_CHECKING:  # that package is built from what is here
    from engine.context.environment import Environment


def response_fields(settings: Settings) -> dict[str, Any]:
    """What the answers to start, resume and fork have in common besides the thread, by attribute name."""
    return {
        "model": settings.model,
        "model_provider": settings.provider_id,
        "service_tier": settings.service_tier,
        "cwd": str(settings.cwd),
        "instruction_sources": list(settings.instructions.sources),
        "approval_policy": settings.approval_policy,
        "approvals_reviewer": published_reviewer(settings.approvals_reviewer),
        "sandbox": settings.sandbox,
        "permission_profile": settings.permissions,
        "reasoning_effort": settings.effort,
    }


def published_reviewer(reviewer: str) -> p.ApprovalsReviewer:
    """The reviewer as clients know it: 0.125.0 still says `guardian_subagent` for `auto_review`."""
    return "user" if reviewer == "user" else "guardian_subagent"


def turn_context(settings: Settings, turn_id: str, environment: Environment) -> ev.TurnContext:
    """The line that says which settings a turn ran with."""
    truncation = settings.info.truncation_policy
    return ev.TurnContext(
        turn_id=turn_id,
        cwd=str(settings.cwd),
        current_date=environment.current_date,
        timezone=environment.timezone,
        approval_policy=msgspec.to_builtins(settings.approval_policy),
        sandbox_policy=_raw(core_policy(settings.sandbox)),
        permission_profile=_raw(core_profile(settings.permissions)),
        model=settings.model,
        personality=settings.personality,
        collaboration_mode=collaboration_mode(settings),
        realtime_active=False,
        effort=settings.effort,
        summary=settings.effective_summary,
        user_instructions=settings.instructions.text,
        developer_instructions=settings.developer_instructions,
        final_output_json_schema=UNSET if settings.output_schema is None else settings.output_schema,
        truncation_policy=ev.TruncationPolicy(truncation.mode, truncation.limit),
    )


def collaboration_mode(settings: Settings) -> ev.CollaborationMode:
    """The collaboration mode with the model and effort that come with it."""
    chosen = ev.CollaborationSettings(settings.model, settings.effort, settings.mode_instructions)
    return ev.CollaborationMode(settings.mode, chosen)


def session_meta(
    settings: Settings,
    thread_id: str,
    created: str,
    git: ev.GitInfo | None = None,
    forked_from: str | None = None,
) -> ev.SessionMeta:
    """The first line of a thread's file; `created` is the thread's creation time as a timestamp of a line."""
    return ev.SessionMeta(
        id=thread_id,
        forked_from_id=forked_from,
        timestamp=created,
        cwd=str(settings.cwd),
        originator=settings.originator,
        cli_version=VERSION,
        source=settings.source,
        model_provider=settings.provider_id,
        base_instructions=ev.BaseInstructions(settings.base_instructions),
        dynamic_tools=settings.dynamic_tools,
        git=git,
    )


def is_review(source: str | ev.SourceObject) -> bool:
    """Whether a thread with this source is a reviewer."""
    return isinstance(source, ev.SourceObject) and source.subagent == "review"


def sandbox_tag(sandbox: p.SandboxPolicy) -> str:
    """How the turn metadata names the sandbox on Linux (spec: turns, section 4.3)."""
    tags = {p.DangerFullAccessSandboxPolicy: "none", p.ExternalSandboxSandboxPolicy: "external"}
    return tags.get(type(sandbox), "seccomp")


def _raw(value: dict[str, Any]) -> Raw:
    return Raw(msgspec.json.encode(value))
