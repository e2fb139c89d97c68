"""The list of skills in a thread's context, and what is said when it is too long (spec: skills, "Budget").

The list may cost a fiftieth of the model's window. Descriptions are shortened for that first, evenly; when none is
left and it is still too long, skills that do not fit are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from engine.skills import Skill
from projections import protocol as p

WINDOW_SHARE = 50
CHARACTERS = 8000
"""What the list may cost where the window is unknown."""
BYTES_PER_TOKEN = 4

_ORDER: tuple[p.SkillScope, ...] = ("system", "admin", "repo", "user")

_INTRO = (
    "A skill is a folder on this machine with a `SKILL.md` file that says how a certain kind of task is done here. "
    "These are the skills of this session, each with its name, what it is for, and its file."
)
_RULES = """\
- When: use a skill in the turn in which the user names it (`$name`, or its name in plain words) or in which the task \
is plainly what its description is about; all of them when several are named. In a later turn use it again only if it \
is called for again.
- How: read its `SKILL.md` first, as far as the task needs it. Paths in it are relative to its folder. Of the files it \
points to, open only those the task needs; run or adapt its scripts and templates instead of writing them anew.
- Several: take the smallest set that covers the task, and say in a short line which ones you use and why.
- Missing: when a named skill is not listed or its file cannot be read, say so and go on without it."""


class SkillsSection(msgspec.Struct, frozen=True):
    """The part of the developer message, with its tags, and the warning to the user if something was cut."""

    text: str
    warning: str | None = None


def skills_section(skills: Sequence[Skill], window: int | None) -> SkillsSection | None:
    """What the model is told of the skills it may choose by itself; `None` if there is none.

    :param window: the model's context window in tokens, if known
    """
    offered = [skill for skill in skills if skill.enabled and skill.implicit]
    if not offered:
        return None
    offered.sort(key=lambda skill: (_ORDER.index(skill.scope), skill.name, skill.path))
    lines, warning = _fitted(offered, window)
    listed = "".join(f"{line}\n" for line in lines)
    body = f"## Skills\n{_INTRO}\n### Available skills\n{listed}### How to use skills\n{_RULES}"
    return SkillsSection(f"<skills_instructions>\n{body}\n</skills_instructions>", warning)


def _fitted(offered: Sequence[Skill], window: int | None) -> tuple[list[str], str | None]:
    """The lines that are shown, and the warning."""
    cost = _characters if window is None else _tokens
    budget = CHARACTERS if window is None else max(window // WINDOW_SHARE, 1)
    full = [_line(skill, skill.description) for skill in offered]
    if sum(map(cost, full)) <= budget:
        return full, None
    exceeded = f"Warning: Exceeded skills context budget{'' if window is None else ' of 2%'}."
    bare = [_line(skill, "") for skill in offered]
    spare = budget - sum(map(cost, bare))
    if spare < 0:
        kept = _first_fitting(bare, budget, cost)
        left_out = len(bare) - len(kept)
        what = "1 additional skill was" if left_out == 1 else f"{left_out} additional skills were"
        return kept, (
            f"{exceeded} All skill descriptions were removed and {what} not included in the model-visible skills list."
        )
    lengths = _shared(offered, spare, cost)
    cut = [len(skill.description) - length for skill, length in zip(offered, lengths, strict=True)]
    average = -(-sum(cut) // sum(1 for characters in cut if characters))
    lines = [_line(skill, skill.description[:length]) for skill, length in zip(offered, lengths, strict=True)]
    return lines, (
        f"{exceeded} Loaded skill descriptions were truncated by an average of {average} characters per skill."
    )


def _first_fitting(lines: Sequence[str], budget: int, cost: Callable[[str], int]) -> list[str]:
    kept = []
    for line in lines:
        if cost(line) <= budget:
            budget -= cost(line)
            kept.append(line)
    return kept


def _shared(offered: Sequence[Skill], spare: int, cost: Callable[[str], int]) -> list[int]:
    """How much of each description is kept: a character for each in turn, until no further one fits."""
    lengths = [0] * len(offered)
    costs = [cost(_line(skill, "")) for skill in offered]
    growing = list(range(len(offered)))
    while growing:
        still = []
        for index in growing:
            skill, length = offered[index], lengths[index] + 1
            if length > len(skill.description):
                continue
            dearer = cost(_line(skill, skill.description[:length])) - costs[index]
            if dearer <= spare:
                spare -= dearer
                lengths[index], costs[index] = length, costs[index] + dearer
                still.append(index)
        growing = still
    return lengths


def _line(skill: Skill, description: str) -> str:
    return f"- {skill.name}: {description}{' ' if description else ''}(file: {skill.path})"


def _tokens(line: str) -> int:
    return -(-(len(line.encode()) + 1) // BYTES_PER_TOKEN)


def _characters(line: str) -> int:
    return len(line) + 1
