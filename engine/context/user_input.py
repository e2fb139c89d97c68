"""User input as the model reads it, as the log shows it and as the turn item carries it (spec: turns, section 5).

Reads the images and skill files that the input names; a file that cannot be read becomes a text that says so, or
nothing. Never fails a turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from engine.config import os_error
from engine.images import InvalidImage, UnsupportedImage, image_url
from engine.named_files import read_bytes
from engine.skills import Skill, mentioned
from engine.turn.effects import Submission
from engine.turn.items import spoken
from projections import protocol as p
from projections.messages import IMAGE_CLOSE, IMAGE_OPEN, as_read
from rollouts import events as ev

# Those of images that not every machine's own list has, or has by this name.
_IMAGE_TYPES = {
    ".avif": "image/avif",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
}


def user_input(
    given: Sequence[p.UserInput],
    skills: Sequence[Skill] = (),
    client_metadata: dict[str, str] | None = None,
) -> Submission:
    """The input of one submission.

    :param skills: those there are for the thread's folder; the enabled ones that the input names, by an item or in
        a text, are pulled in
    """
    message = ev.Message(role="user", content=tuple(_parts(given)))
    pulled_in = (_skill(skill) for skill in _named(given, skills))
    return Submission(
        messages=(message, *(skill for skill in pulled_in if skill)),
        shown=_shown(given),
        content=tuple(_core(entry) for entry in given),
        client_metadata=client_metadata,
    )


def steered(user: Submission) -> Submission:
    """Input for a turn that runs already: it is shown as the model reads it, without elements and names, and pulls in
    no skills (both observed)."""
    content = tuple(as_read(user.messages[0]))
    return msgspec.structs.replace(user, messages=user.messages[:1], shown=spoken(content), content=content)


def _parts(given: Sequence[p.UserInput]) -> Iterable[ev.ContentItem]:
    images = 0
    for entry in given:
        match entry:
            case p.TextUserInput(text=text):
                yield ev.InputText(text)
            case p.ImageUserInput(url=url):
                images += 1
                yield from _image(IMAGE_OPEN, url)
            case p.LocalImageUserInput(path=path):
                images += 1
                yield from _local_image(path, images)


def _image(opening: str, url: str) -> list[ev.ContentItem]:
    return [ev.InputText(opening), ev.InputImage(url, detail="high"), ev.InputText(IMAGE_CLOSE)]


def _local_image(path: str, number: int) -> list[ev.ContentItem]:
    try:
        data = read_bytes(path)
    except OSError as error:
        return [ev.InputText(f"Codex could not read the local image at `{path}`: {os_error(error)}")]
    try:
        return _image(f"<image name=[Image #{number}]>", image_url(data))
    except UnsupportedImage:
        return [ev.InputText(f"Codex cannot attach image at `{path}`: unsupported image `{guessed_type(path)}`.")]
    except InvalidImage as error:
        text = f"Image located at `{path}` is invalid: failed to decode image at {path}: {error.reason}"
        return [ev.InputText(text)]


def guessed_type(path: str, otherwise: str = "application/octet-stream") -> str:
    """The media type that the name of a file suggests; `otherwise` if it suggests none."""
    import mimetypes  # few inputs have files

    known = _IMAGE_TYPES.get(os.path.splitext(path)[1].lower())
    return known or mimetypes.guess_type(path)[0] or otherwise


def _named(given: Sequence[p.UserInput], skills: Sequence[Skill]) -> list[Skill]:
    """Skills of items first, then those mentioned in texts, each once."""
    enabled = {skill.path: skill for skill in skills if skill.enabled}
    wanted = [os.path.realpath(entry.path) for entry in given if isinstance(entry, p.SkillUserInput)]
    texts = [entry.text for entry in given if isinstance(entry, p.TextUserInput)]
    named = [enabled[path] for path in wanted if path in enabled] + mentioned(texts, skills)
    return list({skill.path: skill for skill in named}.values())


def _skill(skill: Skill) -> ev.Message | None:
    try:
        text = Path(skill.path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    body = f"<skill>\n<name>{skill.name}</name>\n<path>{skill.path}</path>\n{text}\n</skill>"
    return ev.Message(role="user", content=(ev.InputText(body),))


def _shown(given: Sequence[p.UserInput]) -> ev.UserMessage:
    """The event of the log: all texts in one, with their elements at the place they have there."""
    text, elements = "", []
    for entry in given:
        if isinstance(entry, p.TextUserInput):
            elements += [_placed(element, entry.text, len(text.encode())) for element in entry.text_elements]
            text += entry.text
    return ev.UserMessage(
        message=text,
        images=tuple(entry.url for entry in given if isinstance(entry, p.ImageUserInput)),
        local_images=tuple(entry.path for entry in given if isinstance(entry, p.LocalImageUserInput)),
        text_elements=tuple(elements),
    )


def _element(element: p.TextElement) -> ev.TextElement:
    span = element.byte_range
    return ev.TextElement(ev.ByteRange(span.start, span.end), element.placeholder)


def _placed(element: p.TextElement, text: str, offset: int) -> ev.TextElement:
    """An element `offset` bytes further on; without a placeholder it stands for what is written there."""
    span = element.byte_range
    placeholder = _slice(text, span) if element.placeholder is None else element.placeholder
    return ev.TextElement(ev.ByteRange(span.start + offset, span.end + offset), placeholder)


def _slice(text: str, span: p.ByteRange) -> str | None:
    """The span of a text in UTF-8; None if there is none or it cuts a character."""
    data = text.encode()
    if not span.start <= span.end <= len(data):
        return None
    try:
        return data[span.start : span.end].decode()
    except UnicodeDecodeError:
        return None


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
