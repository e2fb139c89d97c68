"""Skills: SKILL.md files found in the folders where the user and the project keep them (spec: skills).

Reads the disk at each call and remembers nothing. A broken file is an entry among the errors, never a failure.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from engine.config import Config, project_root
from engine.errors import BadRequest
from projections import protocol as p

MAX_DEPTH = 6
NAME_LIMIT = 64
TEXT_LIMIT = 1024
ADMIN_ROOT = Path("/etc/codex/skills")

_SCOPES: tuple[p.SkillScope, ...] = ("repo", "user", "system", "admin")
_RULED_BY = ("user", "flags")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<yaml>.+?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_MENTION = re.compile(r"\[\$(?P<linked>[\w:-]+)\]\((?P<path>[^)]+)\)|\$(?P<name>[\w:-]+)")


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill. `path` is its SKILL.md with links resolved; `implicit`: the model may choose it by itself."""

    name: str
    description: str
    path: str
    scope: p.SkillScope
    enabled: bool = True
    implicit: bool = True
    short_description: str | None = None
    interface: p.SkillInterface | None = None
    tools: tuple[p.SkillToolDependency, ...] = ()


class Broken(msgspec.Struct, frozen=True):
    """A SKILL.md that is left out, and why."""

    path: str
    message: str


class Found(msgspec.Struct, frozen=True):
    """What there is for one folder: skills by scope (repo, user, system, admin), then name, then path; errors in the
    order of the search, as the reference has them."""

    skills: tuple[Skill, ...]
    errors: tuple[Broken, ...]


def discover(config: Config, cwd: Path, extra_user_roots: Sequence[Path] = ()) -> Found:
    """The skills for a folder, which need not exist, under this configuration."""
    skills: dict[str, Skill] = {}
    errors: dict[str, Broken] = {}
    rules = _rules(config)
    for scope, root in _roots(config, cwd, extra_user_roots):
        for file in _files(root, follow=scope in ("repo", "user")):
            path = os.path.realpath(file)
            if path in skills or path in errors or not _is_text(path):
                continue
            try:
                skills[path] = _read(Path(path), scope, rules)
            except _Unreadable as error:
                if scope != "system":
                    errors[path] = Broken(path, str(error))
    ordered = sorted(skills.values(), key=lambda skill: (_SCOPES.index(skill.scope), skill.name, skill.path))
    return Found(tuple(ordered), tuple(errors.values()))


def skills_list(params: p.SkillsListParams, load: Callable[[Path], Config], server_cwd: Path) -> p.SkillsListResponse:
    """`skills/list`: one entry for each cwd in order, or for the server's when none is given.

    :param load: the configuration for a folder
    :raises BadRequest: for an extra root that is not absolute
    """
    extra: dict[str, list[Path]] = {}
    for entry in params.per_cwd_extra_user_roots or ():
        for root in entry.extra_user_roots:
            if not os.path.isabs(root):
                what = "skills/list perCwdExtraUserRoots extraUserRoots paths must be absolute"
                raise BadRequest(f"{what}: {root}")
        extra[entry.cwd] = [Path(root) for root in entry.extra_user_roots]
    cwds = params.cwds or [str(server_cwd)]
    return p.SkillsListResponse(data=[_entry(cwd, load, server_cwd, extra.get(cwd, [])) for cwd in cwds])


def mentioned(texts: Iterable[str], skills: Sequence[Skill]) -> list[Skill]:
    """Enabled skills that texts call by `$name` or `[$name](path)`, each once. Those of one text come in the order in
    which skills are listed (observed).

    A name that several enabled skills share means none of them, unless the path says which.
    """
    enabled = [skill for skill in skills if skill.enabled]
    found: dict[str, Skill] = {}
    for text in texts:
        called = {path for match in _MENTION.finditer(text) if (path := _called(match, enabled)) is not None}
        found |= {skill.path: skill for skill in enabled if skill.path in called - found.keys()}
    return list(found.values())


def _called(match: re.Match[str], enabled: Sequence[Skill]) -> str | None:
    """Path of the one skill that a mention means; None if it means none or several. A link means what it leads to."""
    linked = (match["path"] or "").removeprefix("skill://")
    fitting = [skill.path for skill in enabled if (skill.path == linked if linked else skill.name == match["name"])]
    return fitting[0] if len(fitting) == 1 else None


def _entry(cwd: str, load: Callable[[Path], Config], server_cwd: Path, extra: Sequence[Path]) -> p.SkillsListEntry:
    folder = Path(os.path.normpath(server_cwd / cwd))
    found = discover(load(folder), folder, extra)
    return p.SkillsListEntry(
        cwd=cwd,
        skills=[_published(skill) for skill in found.skills],
        errors=[p.SkillErrorInfo(path=error.path, message=error.message) for error in found.errors],
    )


def _published(skill: Skill) -> p.SkillMetadata:
    present: dict[str, Any] = {
        "short_description": skill.short_description,
        "interface": skill.interface,
        "dependencies": p.SkillDependencies(tools=list(skill.tools)) if skill.tools else None,
    }
    return p.SkillMetadata(
        name=skill.name,
        description=skill.description,
        path=skill.path,
        scope=skill.scope,
        enabled=skill.enabled,
        **{key: value for key, value in present.items() if value is not None},
    )


def _roots(config: Config, cwd: Path, extra: Sequence[Path]) -> Iterator[tuple[p.SkillScope, Path]]:
    for folder in _project(cwd, project_root(cwd, config.project_root_markers)):
        yield "repo", folder / ".agents" / "skills"
    for folder in _project(config.cwd, config.project_root):  # where a turn moves, the configuration stays (observed)
        if folder / ".codex" != config.home:
            yield "repo", folder / ".codex" / "skills"
    yield "user", config.home / "skills"
    yield "user", Path(os.path.expanduser("~")) / ".agents" / "skills"
    for path in extra:
        yield "user", path
    if config.get("skills.bundled.enabled", True):
        yield "system", config.home / "skills" / ".system"
    yield "admin", ADMIN_ROOT


def _project(cwd: Path, root: Path) -> Iterator[Path]:
    """A folder and those it is in, up to the root of the project."""
    return (folder for folder in (cwd, *cwd.parents) if folder == root or root in folder.parents)


def _files(root: Path, *, follow: bool) -> Iterator[Path]:
    """Every SKILL.md at most `MAX_DEPTH` folders below the root, nearest folders first, hidden ones left out."""
    folders, seen = deque([(root, 0)]), set()
    while folders:
        folder, depth = folders.popleft()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            if entry.name == "SKILL.md" and _is_file(entry, follow):
                yield folder / entry.name
            elif depth < MAX_DEPTH and not entry.name.startswith(".") and _is_folder(entry, follow):
                folders.append((folder / entry.name, depth + 1))


def _is_text(path: str) -> bool:
    """Whether a path can be told to anybody: not if its name is no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_file(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_file(follow_symlinks=follow)
    except OSError:  # a link that leads in a circle
        return False


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False


class _Unreadable(Exception):
    """The file cannot be used; the text is what `skills/list` says about it."""


def _read(file: Path, scope: p.SkillScope, rules: Sequence[_Rule]) -> Skill:
    """:raises _Unreadable: with the reference's words where it has any"""
    front = _front_matter(file)
    name = _collapsed(front.get("name")) or file.parent.name
    description = _collapsed(front.get("description"))
    if not description:
        raise _Unreadable("missing field `description`")
    metadata = front.get("metadata", {})
    short = _collapsed(metadata.get("short-description")) if isinstance(metadata, Mapping) else None
    for field, text, limit in (
        ("name", name, NAME_LIMIT),
        ("description", description, TEXT_LIMIT),
        ("metadata.short-description", short or "", TEXT_LIMIT),
    ):
        if len(text) > limit:
            raise _Unreadable(f"invalid {field}: exceeds maximum length of {limit} characters")
    extras = _agent_file(file.parent)
    return Skill(
        name=name,
        description=description,
        short_description=short,
        path=str(file),
        scope=scope,
        enabled=_enabled(rules, name, str(file)),
        implicit=_table(extras, "policy").get("allow_implicit_invocation") != "false",
        interface=_interface(_table(extras, "interface"), file.parent),
        tools=_tools(_table(extras, "dependencies").get("tools")),
    )


def _front_matter(file: Path) -> Mapping[str, Any]:
    """The YAML between the first two `---` lines; all scalars are strings, as every field is one."""
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError as error:
        length = error.end - error.start
        reason = f"invalid utf-8 sequence of {length} bytes from index {error.start}"
        raise _Unreadable(f"failed to read file: {reason}") from error
    except OSError as error:
        raise _Unreadable(f"failed to read file: {error.strerror}") from error
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise _Unreadable("missing YAML frontmatter delimited by ---")
    front = _yaml(match["yaml"])
    if not isinstance(front, Mapping):
        raise _Unreadable("invalid YAML: expected a table of fields")
    for field in ("name", "description"):
        if not isinstance(front.get(field, ""), str):
            raise _Unreadable(f"invalid YAML: {field}: expected a string")
    return front


def _yaml(text: str) -> Any:
    """The value of a YAML text, its scalars as texts.

    :raises _Unreadable: it is no YAML
    """
    import yaml  # takes long to load, and most homes have no skills

    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        reason, mark = str(error), getattr(error, "problem_mark", None)
        if isinstance(error, yaml.MarkedYAMLError) and mark is not None:
            reason = f"{error.problem} at line {mark.line + 1} column {mark.column + 1}"
        raise _Unreadable(f"invalid YAML: {reason}") from error
    except RecursionError as error:
        raise _Unreadable("invalid YAML: nested too deep") from error


def _agent_file(folder: Path) -> Mapping[str, Any]:
    """`agents/openai.yaml` beside a SKILL.md; as good as empty when missing or broken."""
    try:
        extras = _yaml((folder / "agents" / "openai.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, _Unreadable):
        return {}
    return extras if isinstance(extras, Mapping) else {}


def _table(extras: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = extras.get(key)
    return value if isinstance(value, Mapping) else {}


def _collapsed(value: object) -> str | None:
    """A text with its white space collapsed; `None` if there is none."""
    return " ".join(value.split()) or None if isinstance(value, str) else None


def _interface(given: Mapping[str, Any], folder: Path) -> p.SkillInterface | None:
    color = _collapsed(given.get("brand_color"))
    interface = p.SkillInterface(
        display_name=_collapsed(given.get("display_name")),
        short_description=_collapsed(given.get("short_description")),
        icon_small=_icon(given.get("icon_small"), folder),
        icon_large=_icon(given.get("icon_large"), folder),
        brand_color=color if color and _COLOR.fullmatch(color) else None,
        default_prompt=_collapsed(given.get("default_prompt")),
    )
    return None if interface == p.SkillInterface() else interface


def _icon(value: object, folder: Path) -> str | None:
    """An icon is a relative path below the skill's `assets` folder (observed)."""
    if not isinstance(value, str) or not value.strip():
        return None
    path = Path(os.path.normpath(value.strip()))
    return str(folder / path) if path.parts[:1] == ("assets",) and len(path.parts) > 1 else None


def _tools(given: object) -> tuple[p.SkillToolDependency, ...]:
    entries = [entry for entry in given if isinstance(entry, Mapping)] if isinstance(given, list) else []
    found = []
    for entry in entries:
        fields = {key: text for key in _TOOL_FIELDS if (text := _collapsed(entry.get(key)))}
        if "type" in fields and "value" in fields:
            found.append(p.SkillToolDependency(**fields))
    return tuple(found)


_TOOL_FIELDS = ("type", "value", "description", "transport", "command", "url")


class _Rule(NamedTuple):
    """An entry of `[[skills.config]]`."""

    enabled: bool
    name: str | None = None
    path: str | None = None


def _rules(config: Config) -> list[_Rule]:
    """What the user has said of single skills, in the config file and above it in flags; projects have no say in it.

    An entry that names a skill in both ways, or in none, says nothing (observed).
    """
    said = (layer.table.get("skills", {}).get("config", ()) for layer in config.layers if layer.kind in _RULED_BY)
    rules = []
    for entry in itertools.chain.from_iterable(said):
        name, path = entry.get("name"), entry.get("path")
        if path is not None and name is None:
            rules.append(_Rule(entry["enabled"], path=os.path.realpath(path)))
        elif path is None and name is not None:
            rules.append(_Rule(entry["enabled"], name=name.strip()))
    return rules


def _enabled(rules: Iterable[_Rule], name: str, path: str) -> bool:
    """On unless the last rule that is about the skill says otherwise."""
    about = [rule.enabled for rule in rules if name == rule.name or path == rule.path]
    return about[-1] if about else True
