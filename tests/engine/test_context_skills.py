"""The list of skills in a thread's context: who is on it, and what it may cost (spec: skills)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.context import opening
from engine.context.skills_section import SkillsSection, skills_section
from engine.skills import Skill
from projections import protocol as p
from rollouts import events as ev
from tests.engine.test_context import ENVIRONMENT, start, texts


def skill(name: str, description: str = "", scope: p.SkillScope = "user", path: str = "") -> Skill:
    return Skill(name=name, description=description, path=path or f"/s/{name}/SKILL.md", scope=scope)


def shown(section: SkillsSection | None) -> list[str]:
    assert section is not None
    assert section.text.startswith("<skills_instructions>\n## Skills\n")
    assert section.text.endswith("\n</skills_instructions>")
    return section.text.split("### Available skills\n")[1].split("### How to use skills\n")[0].splitlines()


def of_cost(name: str, tokens: int, description: str = "") -> Skill:
    """A skill whose line without description costs so many tokens."""
    bare = len(f"- {name}: (file: )\n")
    return skill(name, description, path="/" + "x" * (tokens * 4 - bare - 1))


def test_skills_are_listed_by_scope_then_name_then_path() -> None:
    skills = [
        skill("b", "B", "user", "/2"),
        skill("b", "B", "user", "/1"),
        skill("a", "A", "user"),
        skill("r", "R", "repo"),
        skill("m", "M", "admin"),
        skill("s", "S", "system"),
    ]
    assert shown(skills_section(skills, 10_000)) == [
        "- s: S (file: /s/s/SKILL.md)",
        "- m: M (file: /s/m/SKILL.md)",
        "- r: R (file: /s/r/SKILL.md)",
        "- a: A (file: /s/a/SKILL.md)",
        "- b: B (file: /1)",
        "- b: B (file: /2)",
    ]


def test_only_enabled_skills_that_the_model_may_choose_are_offered() -> None:
    off = replace(skill("off", "O"), enabled=False)
    quiet = replace(skill("quiet", "Q"), implicit=False)
    assert shown(skills_section([off, skill("on", "N"), quiet], 10_000)) == ["- on: N (file: /s/on/SKILL.md)"]
    assert skills_section([off, quiet], 10_000) is None


def test_a_list_that_fits_exactly_is_whole() -> None:
    section = skills_section([of_cost("aa", 60), of_cost("bb", 60)], 6_000)
    assert section is not None
    assert section.warning is None
    assert len(shown(section)) == 2


def test_descriptions_are_shortened_evenly_before_a_skill_is_left_out() -> None:
    # 180 tokens for 150 of bare lines: 30 tokens are 120 bytes, 3 of them for the blanks behind the descriptions.
    skills = [of_cost("aa", 50, "d" * 10), of_cost("bb", 50, "d" * 200), of_cost("cc", 50, "d" * 200)]
    section = skills_section(skills, 9_000)
    lengths = [line.count("d") for line in shown(section)]
    assert lengths[0] == 10
    assert abs(lengths[1] - lengths[2]) <= 4
    assert sum(lengths) <= 117
    cut = [400 - sum(lengths[1:])]
    assert section is not None
    assert section.warning == (
        "Warning: Exceeded skills context budget of 2%. Loaded skill descriptions were truncated by an average of "
        f"{-(-cut[0] // 2)} characters per skill."
    )


@pytest.mark.parametrize(("count", "what"), [(4, "1 additional skill was"), (5, "2 additional skills were"), (3, None)])
def test_skills_that_do_not_fit_are_left_out_and_counted(count: int, what: str | None) -> None:
    skills = [of_cost(f"s{number}", 60, "") for number in range(count)]
    section = skills_section(skills, 9_000)
    assert [line[:4] for line in shown(section)] == ["- s0", "- s1", "- s2"]
    assert section is not None
    assert section.warning == (
        what
        and "Warning: Exceeded skills context budget of 2%. All skill descriptions were removed and "
        f"{what} not included in the model-visible skills list."
    )


def test_a_later_skill_that_fits_is_kept_where_an_earlier_one_does_not() -> None:
    skills = [of_cost("aa", 60), of_cost("bb", 90), of_cost("cc", 40)]
    assert [line[:4] for line in shown(skills_section(skills, 5_000))] == ["- aa", "- cc"]


def test_the_section_stays_when_nothing_fits() -> None:
    assert shown(skills_section([of_cost("aa", 60)], 1)) == []


def test_without_a_known_window_characters_count() -> None:
    section = skills_section([skill(f"s{number:03}", "ü" * 50) for number in range(200)], None)
    assert sum(len(line) + 1 for line in shown(section)) <= 8000
    assert section is not None
    assert str(section.warning).startswith("Warning: Exceeded skills context budget. Loaded skill descriptions were ")


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), max_size=60)


@given(st.lists(WORDS, max_size=12), st.integers(1, 40_000))
def test_the_list_never_costs_more_than_its_share(descriptions: list[str], window: int) -> None:
    skills = [skill(f"s{number:02}", text) for number, text in enumerate(descriptions)]
    section = skills_section(skills, window)
    if section is None:
        assert not skills
        return
    lines = shown(section)
    assert sum(-(-len(f"{line}\n".encode()) // 4) for line in lines) <= max(window // 50, 1)
    whole = [f"- {one.name}: {one.description}{' ' if one.description else ''}(file: {one.path})" for one in skills]
    assert (section.warning is None) == (lines == whole)


def test_the_context_of_a_fresh_thread_lists_the_skills_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "work" / ".agents" / "skills" / "pack"
    folder.mkdir(parents=True)
    (folder / "SKILL.md").write_text("---\nname: pack\ndescription: Packs things\n---\n")
    telling = opening(None, start(tmp_path), ENVIRONMENT)
    told = [text for _, parts in texts([line for line in telling if isinstance(line, ev.Message)]) for text in parts]
    assert any(f"- pack: Packs things (file: {folder / 'SKILL.md'})\n" in text for text in told)
    silent = opening(None, start(tmp_path, "skills.include_instructions = false"), ENVIRONMENT)
    assert "skills_instructions" not in repr(silent)
    tight = opening(None, start(tmp_path, "model_context_window = 50"), ENVIRONMENT)
    assert isinstance(tight[0], ev.Warning)
    assert "1 additional skill was not included" in tight[0].message
