"""`model/list`, `skills/list`, `collaborationMode/list`: what a front end offers before a turn."""

from __future__ import annotations

from engine.appserver.dispatch import Context, Handler, Reply
from projections import protocol as p


async def model_list(ctx: Context, params: p.ModelListParams) -> Reply:
    """A page of the model catalog."""
    return Reply(ctx.engine.catalogs.models(params))


async def skills_list(ctx: Context, params: p.SkillsListParams) -> Reply:
    """The skills of some folders."""
    return Reply(ctx.engine.catalogs.skills(params))


async def mode_list(ctx: Context, params: p.CollaborationModeListParams) -> Reply:
    """The collaboration modes."""
    return Reply(ctx.engine.catalogs.modes())


HANDLERS: dict[str, Handler] = {
    "model/list": model_list,
    "skills/list": skills_list,
    "collaborationMode/list": mode_list,
}
