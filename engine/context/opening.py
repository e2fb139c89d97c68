"""What the model is told before a turn begins, with what has to be read from the disk for it."""

from __future__ import annotations

from engine.context.environment import Environment
from engine.context.messages import changes, initial
from engine.context.skills_section import SkillsSection, skills_section
from engine.settings import Settings
from engine.skills import discover
from rollouts import events as ev


def opening(
    previous: ev.TurnContext | None, settings: Settings, environment: Environment
) -> list[ev.Message | ev.Warning]:
    """The context messages that are new since `previous`, or all of them without one.

    All of them come after the warning that the list of skills was cut, if it was: at every time it is made (observed).
    """
    if previous is not None:
        return [*changes(previous, settings, environment)]
    section = _skills(settings)
    if section is None:
        return [*initial(settings, environment)]
    warnings = [ev.Warning(message=section.warning)] if section.warning else []
    return [*warnings, *initial(settings, environment, [section.text])]


def _skills(settings: Settings) -> SkillsSection | None:
    if not settings.config.get("skills.include_instructions", True):
        return None
    return skills_section(discover(settings.config, settings.cwd).skills, settings.info.context_window)
