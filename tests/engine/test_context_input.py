"""User input: what the model reads, what the log shows, what the item carries."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.context import user_input
from engine.context.user_input import steered
from engine.skills import Skill
from engine.turn.effects import Submission
from projections import protocol as p
from rollouts import events as ev

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg=="
)
DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


def submit(*given: dict[str, Any], skills: tuple[Skill, ...] = ()) -> Submission:
    return user_input(msgspec.convert(given, tuple[p.UserInput, ...]), skills)


def parts(submission: Submission) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(submission.messages[0].content))
    return found


def text(value: str) -> dict[str, str]:
    return {"type": "input_text", "text": value}


def image(url: str) -> dict[str, str]:
    return {"type": "input_image", "image_url": url, "detail": "high"}


def test_texts_and_images_become_parts_in_order(tmp_path: Path) -> None:
    (tmp_path / "i.png").write_bytes(PNG)
    submission = submit(
        {"type": "text", "text": "look"},
        {"type": "image", "url": "data:image/png;base64,AAAA"},
        {"type": "localImage", "path": str(tmp_path / "i.png")},
        {"type": "mention", "name": "m", "path": "app://m"},
    )
    assert submission.messages[0].role == "user"
    assert parts(submission) == [
        text("look"),
        text("<image>"),
        image("data:image/png;base64,AAAA"),
        text("</image>"),
        text("<image name=[Image #2]>"),
        image(DATA_URL),
        text("</image>"),
    ]
    assert len(submission.messages) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.png", None, "Codex could not read the local image at `{}`: No such file or directory (os error 2)"),
        ("a.txt", b"hello", "Codex cannot attach image at `{}`: unsupported image `text/plain`."),
        ("fake.png", b"no image", "Codex cannot attach image at `{}`: unsupported image `image/png`."),
        ("cut.png", PNG[:50], "Codex cannot attach image at `{}`: unsupported image `image/png`."),
        ("empty.png", b"", "Codex cannot attach image at `{}`: unsupported image `image/png`."),
    ],
)
def test_an_image_that_cannot_be_used_is_explained(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert parts(submit({"type": "localImage", "path": str(path)})) == [text(said.format(path))]


def test_the_bytes_say_what_kind_of_image_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(PNG)
    assert parts(submit({"type": "localImage", "path": str(tmp_path / "a.jpg")}))[1] == image(DATA_URL)


def test_images_that_fail_still_count(tmp_path: Path) -> None:
    (tmp_path / "i.png").write_bytes(PNG)
    entries = [{"type": "localImage", "path": str(tmp_path / name)} for name in ("gone.png", "i.png")]
    assert parts(submit(*entries))[1] == text("<image name=[Image #2]>")


def test_the_log_joins_texts_and_moves_their_elements() -> None:
    submission = submit(
        {"type": "text", "text": "é $x "},
        {"type": "image", "url": "u"},
        {
            "type": "text",
            "text": "two",
            "text_elements": [{"byteRange": {"start": 0, "end": 3}, "placeholder": "P"}],
        },
        {"type": "localImage", "path": "/i.png"},
    )
    assert submission.shown == ev.UserMessage(
        message="é $x two",
        images=("u",),
        local_images=("/i.png",),
        text_elements=(ev.TextElement(ev.ByteRange(6, 9), "P"),),
    )


def test_the_item_carries_the_input_as_sent() -> None:
    submission = submit(
        {"type": "text", "text": "t", "text_elements": [{"byteRange": {"start": 0, "end": 1}}]},
        {"type": "image", "url": "u"},
        {"type": "localImage", "path": "p"},
        {"type": "skill", "name": "s", "path": "/s"},
        {"type": "mention", "name": "m", "path": "app://m"},
    )
    assert submission.content == (
        ev.TextInput("t", (ev.TextElement(ev.ByteRange(0, 1)),)),
        ev.ImageInput("u"),
        ev.LocalImageInput("p"),
        ev.SkillInput("s", "/s"),
        ev.MentionInput("m", "app://m"),
    )


def skill(folder: Path, name: str, enabled: bool = True) -> Skill:
    file = folder / name / "SKILL.md"
    file.parent.mkdir(parents=True)
    file.write_text(f"about {name}\n")
    return Skill(name=name, description="d", path=str(file), scope="user", enabled=enabled)


def pulled(submission: Submission) -> list[str]:
    messages = submission.messages[1:]
    return [part.text for m in messages for part in m.content if isinstance(part, ev.InputText)]


def test_named_skills_are_pulled_in_items_first_each_once(tmp_path: Path) -> None:
    skills = tuple(skill(tmp_path, name) for name in ("one", "two", "three"))
    submission = submit(
        {"type": "text", "text": "use $two, then $one and $two; $three-not"},
        {"type": "skill", "name": "whatever", "path": skills[2].path},
        skills=skills,
    )
    assert pulled(submission) == [
        f"<skill>\n<name>{s.name}</name>\n<path>{s.path}</path>\nabout {s.name}\n\n</skill>"
        for s in (skills[2], skills[0], skills[1])
    ]


def test_unknown_disabled_and_vanished_skills_are_ignored(tmp_path: Path) -> None:
    off, gone = skill(tmp_path, "off", enabled=False), skill(tmp_path, "gone")
    Path(gone.path).unlink()
    submission = submit(
        {"type": "text", "text": "$off $unknown"},
        {"type": "skill", "name": "off", "path": off.path},
        {"type": "skill", "name": "gone", "path": gone.path},
        {"type": "skill", "name": "x", "path": "/no/SKILL.md"},
        skills=(off, gone),
    )
    assert pulled(submission) == []


def test_an_ambiguous_name_needs_its_path(tmp_path: Path) -> None:
    skills = (skill(tmp_path / "a", "same"), skill(tmp_path / "b", "same"))
    assert pulled(submit({"type": "text", "text": "$same"}, skills=skills)) == []
    linked = submit({"type": "text", "text": f"[$same]({skills[1].path})"}, skills=skills)
    assert len(pulled(linked)) == 1
    assert skills[1].path in pulled(linked)[0]


def test_an_element_without_placeholder_stands_for_what_is_written_there() -> None:
    spans = [(4, 6), (5, 6), (3, 90)]
    elements = [{"byteRange": {"start": start, "end": end}} for start, end in spans]
    submission = submit({"type": "text", "text": "ab"}, {"type": "text", "text": "abc é", "text_elements": elements})
    told = submission.shown.text_elements
    assert [element.placeholder for element in told] == ["é", None, None]
    assert told[0].byte_range == ev.ByteRange(6, 8)


def test_steered_input_is_shown_as_the_model_reads_it(tmp_path: Path) -> None:
    (tmp_path / "i.png").write_bytes(PNG)
    element = {"byteRange": {"start": 0, "end": 3}, "placeholder": "[s]"}
    told = steered(
        submit(
            {"type": "localImage", "path": str(tmp_path / "i.png")},
            {"type": "text", "text": "see", "text_elements": [element]},
            {"type": "mention", "name": "m", "path": "app://m"},
            {"type": "image", "url": "https://e.com/a.png"},
        )
    )
    urls = (DATA_URL, "https://e.com/a.png")
    assert told.shown == ev.UserMessage(message="see", images=urls)
    assert told.content == (ev.ImageInput(urls[0]), ev.TextInput("see"), ev.ImageInput(urls[1]))


def test_steered_input_pulls_in_no_skills(tmp_path: Path) -> None:
    given = submit({"type": "text", "text": "$one"}, skills=(skill(tmp_path, "one"),))
    assert len(given.messages) == 2
    assert steered(given).messages == given.messages[:1]
