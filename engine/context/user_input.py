"""User input as the model reads it, as the log shows it and as the turn item carries it (spec: turns, section 5).

Reads the images and skill files that the input names; a file that cannot be read becomes a text that says so, or
nothing. Never fails a turn.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from engine.config import os_error
from engine.turn.effects import Submission
from projections import protocol as p
from rollouts import events as ev


def user_input(
    given: Sequence[p.UserInput],
    skills: Mapping[str, str],
    client_metadata: dict[str, str] | None = None,
) -> Submission:
    """The input of one submission.

    :param skills: names of the enabled skills by the path of their SKILL.md; others are ignored
    """
    message = ev.Message(role="user", content=tuple(_parts(given)))
    pulled_in = (_skill(entry, skills) for entry in given if isinstance(entry, p.SkillUserInput))
    return Submission(
        messages=(message, *(skill for skill in pulled_in if skill)),
        shown=_shown(given),
        content=tuple(_core(entry) for entry in given),
        client_metadata=client_metadata,
    )


def _parts(given: Sequence[p.UserInput]) -> Iterable[ev.ContentItem]:
    images = 0
    for entry in given:
        match entry:
            case p.TextUserInput(text=text):
                yield ev.InputText(text)
            case p.ImageUserInput(url=url):
                images += 1
                yield from _image("<image>", url)
            case p.LocalImageUserInput(path=path):
                images += 1
                yield from _local_image(path, images)


def _image(opening: str, url: str) -> list[ev.ContentItem]:
    return [ev.InputText(opening), ev.InputImage(url, detail="high"), ev.InputText("</image>")]


def _local_image(path: str, number: int) -> list[ev.ContentItem]:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return [ev.InputText(f"Codex could not read the local image at `{path}`: {os_error(error)}")]
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    if not kind.startswith("image/"):
        text = f"Codex cannot attach image at `{path}`: unsupported image format `{kind}`."
        return [ev.InputText(text)]
    url = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return _image(f"<image name=[Image #{number}]>", url)


def _skill(entry: p.SkillUserInput, skills: Mapping[str, str]) -> ev.Message | None:
    if entry.path not in skills:
        return None
    try:
        text = Path(entry.path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    body = f"<skill>\n<name>{skills[entry.path]}</name>\n<path>{entry.path}</path>\n{text}\n</skill>"
    return ev.Message(role="user", content=(ev.InputText(body),))


def _shown(given: Sequence[p.UserInput]) -> ev.UserMessage:
    """The event of the log: all texts in one, with their elements at the place they have there."""
    text, elements = "", []
    for entry in given:
        if isinstance(entry, p.TextUserInput):
            elements += [_element(element, len(text.encode())) for element in entry.text_elements]
            text += entry.text
    return ev.UserMessage(
        message=text,
        images=tuple(entry.url for entry in given if isinstance(entry, p.ImageUserInput)),
        local_images=tuple(entry.path for entry in given if isinstance(entry, p.LocalImageUserInput)),
        text_elements=tuple(elements),
    )


def _element(element: p.TextElement, offset: int = 0) -> ev.TextElement:
    span = element.byte_range
    return ev.TextElement(ev.ByteRange(span.start + offset, span.end + offset), element.placeholder)


def _core(entry: p.UserInput) -> ev.UserInput:
    match entry:
        case p.TextUserInput():
            return ev.TextInput(entry.text, tuple(_element(element) for element in entry.text_elements))
        case p.ImageUserInput():
            return ev.ImageInput(entry.url)
        case p.LocalImageUserInput():
            return ev.LocalImageInput(entry.path)
        case p.SkillUserInput():
            return ev.SkillInput(entry.name, entry.path)
        case p.MentionUserInput():
            return ev.MentionInput(entry.name, entry.path)
