"""Skills: where they are found, what their files say, and how they are listed."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.config import Config, load
from engine.errors import BadRequest
from engine.skills import Found, Skill, discover, mentioned, skills_list
from projections import protocol as p


class Place:
    """A CODEX_HOME, a HOME and a repository."""

    def __init__(self, folder: Path) -> None:
        self.home, self.user, self.root = folder / "codex", folder / "user", folder / "repo"
        for made in (self.home, self.user, self.root / ".git"):
            made.mkdir(parents=True)

    def config(self, cwd: Path) -> Config:
        return load(self.home, {}, cwd)

    def found(self, cwd: Path | None = None) -> Found:
        folder = cwd or self.root
        return discover(self.config(folder), folder)

    def listed(self, **params: Any) -> list[dict[str, Any]]:
        decoded = msgspec.convert(params, p.SkillsListParams)
        answer = skills_list(decoded, self.config, self.root)
        data: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(answer))["data"]
        return data


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path)
    monkeypatch.setenv("HOME", str(made.user))
    return made


def write(folder: Path, text: str | None = None, name: str = "SKILL.md") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"---\nname: {folder.name}\ndescription: d\n---\n" if text is None else text)
    return file


def names(found: Found) -> list[tuple[str, str]]:
    return [(skill.scope, skill.name) for skill in found.skills]


def test_scopes_are_listed_in_order_each_by_name(place: Place) -> None:
    write(place.home / "skills" / "zeta")
    write(place.home / "skills" / "alpha")
    write(place.home / "skills" / ".system" / "bundled")
    write(place.user / ".agents" / "skills" / "mine")
    write(place.root / ".agents" / "skills" / "repo")
    write(place.root / ".codex" / "skills" / "codex")
    write(place.root / "sub" / ".agents" / "skills" / "inner")
    user = [("user", "alpha"), ("user", "mine"), ("user", "zeta"), ("system", "bundled")]
    assert names(place.found()) == [("repo", "codex"), ("repo", "repo"), *user]
    assert names(place.found(place.root / "sub")) == [("repo", "codex"), ("repo", "inner"), ("repo", "repo"), *user]
    assert names(place.found(place.root / "missing")) == names(place.found())


def test_bundled_skills_can_be_switched_off(place: Place) -> None:
    write(place.home / "skills" / ".system" / "bundled")
    write(place.home, "[skills.bundled]\nenabled = false\n", "config.toml")
    assert names(place.found()) == []


def test_folders_are_searched_six_deep_hidden_ones_not_at_all(place: Place) -> None:
    root = place.home / "skills"
    write(root / "1" / "2" / "3" / "4" / "5" / "six")
    write(root / "1" / "2" / "3" / "4" / "5" / "six" / "seven")
    write(root / ".hidden" / "no")
    write(root / "outer")
    write(root / "outer" / "nested")
    assert names(place.found()) == [("user", "nested"), ("user", "outer"), ("user", "six")]


def test_a_file_reached_twice_is_listed_once_by_its_real_path(place: Place) -> None:
    real = write(place.user / "elsewhere" / "linked")
    (place.home / "skills").mkdir()
    for name in ("a", "b"):
        (place.home / "skills" / name).symlink_to(place.user / "elsewhere")
    (place.user / "elsewhere" / "loop").symlink_to(place.user / "elsewhere")
    assert [skill.path for skill in place.found().skills] == [str(real)]


def test_links_that_lead_in_a_circle_hide_nothing_else(place: Place) -> None:
    root = place.home / "skills"
    write(root / "good")
    (root / "a").symlink_to(root / "b")
    (root / "b").symlink_to(root / "a")
    (root / "good" / "inner").mkdir()
    (root / "good" / "inner" / "SKILL.md").symlink_to(root / "a")
    assert names(place.found()) == [("user", "good")]


def test_equal_names_in_two_places_are_both_kept(place: Place) -> None:
    write(place.home / "skills" / "a" / "same")
    write(place.home / "skills" / "b" / "same")
    assert len(place.found().skills) == 2


@pytest.mark.parametrize(
    ("text", "name", "description"),
    [
        ("---\ndescription: d\n---\nbody", "folder", "d"),
        ("---\nname: multi\ndescription: |\n  line one\n  line two\n---\nx", "multi", "line one line two"),
        ('---\nname: "  "\ndescription: "  a   b\\n c "\n---\n', "folder", "a b c"),
        ("---\r\nname: crlf\r\ndescription: y\r\n---\r\n", "crlf", "y"),
        ("---\nname: 2020-01-01\ndescription: true\n---\n", "2020-01-01", "true"),
        ("---\nname: null\ndescription: 5\n---\n", "null", "5"),
        ("---\nname: n\ndescription: !tag y\n---", "n", "y"),
        (f"---\nname: {'n' * 64}\ndescription: {'d' * 1024}\n---\n", "n" * 64, "d" * 1024),
    ],
)
def test_front_matter_gives_name_and_description(place: Place, text: str, name: str, description: str) -> None:
    write(place.home / "skills" / "folder", text)
    [skill] = place.found().skills
    assert (skill.name, skill.description) == (name, description)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no front matter", "missing YAML frontmatter delimited by ---"),
        ("\n---\nname: x\ndescription: y\n---\n", "missing YAML frontmatter delimited by ---"),
        ("---\nname: x\ndescription: y\n", "missing YAML frontmatter delimited by ---"),
        ("---\n---\nbody", "missing YAML frontmatter delimited by ---"),
        ("---\nname: x\n---\n", "missing field `description`"),
        ("---\nname: x\ndescription:\n---\n", "missing field `description`"),
        (f"---\nname: {'n' * 65}\ndescription: d\n---\n", "invalid name: exceeds maximum length of 64 characters"),
        (
            f"---\nname: n\ndescription: {'d' * 1025}\n---\n",
            "invalid description: exceeds maximum length of 1024 characters",
        ),
        (
            f"---\ndescription: d\nmetadata:\n  short-description: {'d' * 1025}\n---\n",
            "invalid metadata.short-description: exceeds maximum length of 1024 characters",
        ),
        (
            "---\nname: c\ndescription: use this: when needed\n---\n",
            "invalid YAML: mapping values are not allowed here at line 2 column 22",
        ),
        ("---\n- a\n---\n", "invalid YAML: expected a table of fields"),
        ("---\nname: [a]\ndescription: d\n---\n", "invalid YAML: name: expected a string"),
    ],
)
def test_a_broken_file_is_left_out_and_reported(place: Place, text: str, message: str) -> None:
    file = write(place.home / "skills" / "bad", text)
    found = place.found()
    assert found.skills == ()
    assert [(error.path, error.message) for error in found.errors] == [(str(file), message)]


def test_bytes_that_are_no_text_are_reported(place: Place) -> None:
    write(place.home / "skills" / "bad").write_bytes(b"---\nname: \xff\ndescription: d\n---\n")
    [error] = place.found().errors
    assert error.message == "failed to read file: invalid utf-8 sequence of 1 bytes from index 10"


def test_a_broken_bundled_skill_is_not_reported(place: Place) -> None:
    write(place.home / "skills" / ".system" / "bad", "x")
    assert place.found() == Found((), ())


def test_the_list_shows_optional_members_only_when_present(place: Place) -> None:
    plain = write(place.home / "skills" / "plain")
    short = "---\nname: rich\ndescription: d\nmetadata:\n  short-description: s\n---\n"
    rich = write(place.home / "skills" / "rich", short)
    write(
        rich.parent / "agents",
        "interface:\n  display_name: ' A  B '\n  brand_color: '#112233'\n  icon_small: ./assets/i.png\n"
        "  icon_large: ../x.png\ndependencies:\n  tools:\n  - type: mcp\n    value: demo\n    url: u\n"
        "  - type: incomplete\npolicy:\n  allow_implicit_invocation: false\n",
        "openai.yaml",
    )
    base = {"description": "d", "scope": "user", "enabled": True}
    [entry] = place.listed()
    assert entry["cwd"] == str(place.root)
    assert entry["skills"] == [
        {"name": "plain", "path": str(plain), **base},
        {
            "name": "rich",
            "path": str(rich),
            "shortDescription": "s",
            "interface": {
                "displayName": "A B",
                "shortDescription": None,
                "iconSmall": str(rich.parent / "assets" / "i.png"),
                "iconLarge": None,
                "brandColor": "#112233",
                "defaultPrompt": None,
            },
            "dependencies": {"tools": [{"type": "mcp", "value": "demo", "url": "u"}]},
            **base,
        },
    ]
    assert [skill.implicit for skill in place.found().skills] == [True, False]


@pytest.mark.parametrize("text", ["interface: [", "- a", "interface: 5\ndependencies: 5\npolicy: 5", ""])
def test_broken_optional_parts_are_dropped(place: Place, text: str) -> None:
    skill = write(place.home / "skills" / "s")
    write(skill.parent / "agents", text, "openai.yaml")
    [found] = place.found().skills
    assert (found.interface, found.tools, found.implicit) == (None, (), True)


def test_every_cwd_has_its_entry_and_its_extra_roots(place: Place) -> None:
    write(place.root / "extra" / "more")
    write(place.home / "skills" / "a")
    entries = place.listed(
        cwds=[str(place.root), str(place.root / "gone")],
        perCwdExtraUserRoots=[{"cwd": str(place.root), "extraUserRoots": [str(place.root / "extra")]}],
    )
    assert [[skill["name"] for skill in entry["skills"]] for entry in entries] == [["a", "more"], ["a"]]


def test_a_relative_extra_root_is_refused(place: Place) -> None:
    with pytest.raises(BadRequest) as caught:
        place.listed(perCwdExtraUserRoots=[{"cwd": "/x", "extraUserRoots": ["relative"]}])
    expected = "skills/list perCwdExtraUserRoots extraUserRoots paths must be absolute: relative"
    assert caught.value.message == expected


def test_skills_are_disabled_by_name_or_path(place: Place) -> None:
    write(place.home / "skills" / "by-name")
    path = write(place.home / "skills" / "by-path")
    write(place.home / "skills" / "on")
    write(
        place.home,
        f'[[skills.config]]\nname = "by-name"\nenabled = false\n[[skills.config]]\npath = "{path}"\nenabled = false\n',
        "config.toml",
    )
    found = place.found()
    assert {skill.name: skill.enabled for skill in found.skills} == {"by-name": False, "by-path": False, "on": True}
    assert [skill.name for skill in mentioned(["$by-name $on $on"], found.skills)] == ["on"]


def _off(*, name: str | None = None, path: str | None = None) -> str:
    said = {"name": name, "path": path}
    keys = "".join(f"{key} = {value!r}\n" for key, value in said.items() if value is not None)
    return f"[[skills.config]]\n{keys}enabled = false\n"


@pytest.mark.parametrize(
    ("users", "projects", "flags", "off"),
    [
        (_off(name="a"), _off(name="b"), {}, {"a"}),
        (_off(name="a"), "", {"skills.config": [{"name": "b", "enabled": False}]}, {"a", "b"}),
        (_off(name="a"), "", {"skills.config": [{"name": "a", "enabled": True}]}, set()),
        (_off(name=" a "), "", {}, {"a"}),
        (_off(path="skills/b/SKILL.md"), "", {}, {"b"}),
        (_off(path="skills/b"), "", {}, set()),
        (_off(name="a", path="skills/b/SKILL.md"), "", {}, set()),
        (_off(), "", {}, set()),
    ],
)
def test_skills_are_switched_off_by_the_user_and_by_flags_only(
    place: Place, users: str, projects: str, flags: dict[str, object], off: set[str]
) -> None:
    for name in "ab":
        write(place.home / "skills" / name)
    write(place.home, f'{users}[projects."{place.root}"]\ntrust_level = "trusted"\n', "config.toml")
    write(place.root / ".codex", projects, "config.toml")
    found = discover(load(place.home, flags, place.root), place.root)
    assert {skill.name for skill in found.skills if not skill.enabled} == off


def test_yaml_that_is_nested_too_deep_is_an_error_of_its_file(place: Place) -> None:
    write(place.root / ".agents" / "skills" / "good")
    deep = "[" * 5000 + "]" * 5000
    bad = write(place.root / ".agents" / "skills" / "bad", f"---\nname: bad\ndescription: {deep}\n---\n")
    found = place.found()
    assert names(found) == [("repo", "good")]
    assert [(error.path, error.message) for error in found.errors] == [(str(bad), "invalid YAML: nested too deep")]


def test_a_folder_whose_name_is_no_text_hides_no_other_skill(place: Place) -> None:
    write(place.home / "skills" / "good")
    write(place.home / "skills" / os.fsdecode(b"odd\xff"), "---\nname: odd\ndescription: d\n---\n")
    assert [skill["name"] for entry in place.listed() for skill in entry["skills"]] == ["good"]


def test_an_icon_that_is_no_file_is_none(place: Place) -> None:
    skill = write(place.home / "skills" / "a")
    write(skill.parent / "agents", "interface:\n  display_name: A\n  icon_small: .\n", "openai.yaml")
    (found,) = place.found().skills
    assert found.interface is not None
    assert found.interface.icon_small is None


def test_skills_that_one_text_calls_come_as_they_are_listed() -> None:
    skills = [Skill(name=name, description="", path=f"/{name}", scope="user") for name in ("a", "b", "c")]
    called = mentioned(["$c then $a", "$b and $c"], skills)
    assert [skill.name for skill in called] == ["a", "c", "b"]


def test_a_link_means_the_skill_it_leads_to() -> None:
    skills = [Skill(name=name, description="", path=f"/{name}", scope="user") for name in ("a", "b", "c")]
    called = mentioned(["[$a](skill:///a) [$other](/b) [$c](/elsewhere)"], skills)
    assert [skill.name for skill in called] == ["a", "b"]
