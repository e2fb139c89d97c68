"""Images that the model makes: a file, a note to the model, an item, and lines, in this order."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.generated_images import save
from engine.turn import replies as rp
from engine.turn.effects import Done, Emit, Interrupt, Progress
from engine.turn.ops import Sample, SavedImage, SaveImage
from rollouts import events as ev
from tests.engine.mocked import mocked
from tests.engine.test_turn_machine import World, say
from tests.mock_model import MockModel, added, completed, created, done, message

PIXELS = b"\x89PNG not quite"
IMAGE = base64.b64encode(PIXELS).decode()


@pytest.fixture
def model() -> Iterator[MockModel]:
    with MockModel() as running:
        yield running


def call(image_id: str, result: str = IMAGE, **more: Any) -> dict[str, Any]:
    return {"type": "image_generation_call", "id": image_id, "status": "completed", "result": result, **more}


@pytest.mark.anyio
async def test_an_image_is_saved_shown_and_told(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), done(call("ig_1", revised_prompt="a cat")), *message("there"), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread)
        path = tmp_path / "generated_images" / thread / "ig_1.png"
        assert path.read_bytes() == PIXELS
        items = [n["item"] for n in engine.heard("item/started", "item/completed") if n["item"]["id"] == "ig_1"]
        started = {
            "type": "imageGeneration",
            "id": "ig_1",
            "status": "in_progress",
            "revisedPrompt": None,
            "result": "",
        }
        whole = {"status": "completed", "revisedPrompt": "a cat", "result": IMAGE, "savedPath": str(path)}
        assert items == [started, started | whole]
        lines = engine.lines(thread)
        kinds = [kind for kind, _ in lines]
        at = kinds.index("image_generation_end")
        assert kinds[at - 1 : at + 3] == ["message", "image_generation_end", "image_generation_call", "agent_message"]
        note = lines[at - 1][1]
        assert note["role"] == "developer"
        assert str(path.parent) in note["content"][0]["text"]
        assert lines[at][1]["saved_path"] == str(path)
        await engine.play(thread)
        sent = [item for item in engine.requests[1].json["input"] if item["type"] == "image_generation_call"]
        assert sent == [call("ig_1", revised_prompt="a cat")]


@pytest.mark.anyio
async def test_an_announced_image_is_there_from_the_start(tmp_path: Path, model: MockModel) -> None:
    """As the reference has it: the announcement is saved as well."""
    begun = call("ig_1", "", status="generating")
    model.play(created(), added(begun), done(call("ig_1")), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread)
        path = str(tmp_path / "generated_images" / thread / "ig_1.png")
        items = [n["item"] for n in engine.heard("item/started", "item/completed") if n["item"]["id"] == "ig_1"]
        assert [(item["status"], item["result"], item["savedPath"]) for item in items] == [
            ("in_progress", "", path),
            ("completed", IMAGE, path),
        ]


@pytest.mark.anyio
async def test_what_is_no_image_is_shown_without_a_file(tmp_path: Path, model: MockModel) -> None:
    model.play(created(), done(call("ig_1", "no base64!")), completed())
    async with mocked(tmp_path, model) as engine:
        thread = await engine.start()
        await engine.play(thread)
        (shown,) = [n["item"] for n in engine.heard("item/completed") if n["item"]["id"] == "ig_1"]
        assert "savedPath" not in shown
        assert not (tmp_path / "generated_images").exists()
        developer = [line for _, line in engine.lines(thread) if line.get("role") == "developer"]
        assert not any("images you generate" in str(line) for line in developer)


@pytest.mark.parametrize(
    ("image_id", "name"),
    [
        ("ig_1", "ig_1.png"),
        ("../x/y z", "___x_y_z.png"),
        ("", "generated_image.png"),
        ("/etc/passwd", "_etc_passwd.png"),
        ("é", "_.png"),
    ],
)
def test_an_image_stays_in_its_folder(tmp_path: Path, image_id: str, name: str) -> None:
    saved = save(tmp_path, "t", image_id, f"\n{IMAGE} ")
    assert saved == SavedImage(
        str(tmp_path / "generated_images" / "t" / name), str(tmp_path / "generated_images" / "t")
    )
    assert Path(saved.path).read_bytes() == PIXELS


def test_an_image_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "generated_images").write_text("in the way")
    assert save(tmp_path, "t", "ig_1", IMAGE) is None


def image(image_id: str) -> rp.ItemDone:
    return rp.ItemDone(ev.ImageGenerationCall(id=image_id, status="completed", result=IMAGE), image_id)


def sampling(world: World) -> int:
    return next(key for key, op in world.open.items() if isinstance(op, Sample))


def saving(world: World) -> list[int]:
    return [key for key, op in world.open.items() if isinstance(op, SaveImage)]


def recorded(world: World) -> list[str]:
    kinds = (ev.ImageGenerationCall, ev.Message)
    said = [e.event for e in world.effects if isinstance(e, Emit) and isinstance(e.event, kinds)]
    return [item.id if isinstance(item, ev.ImageGenerationCall) else item.role for item in said]


def test_the_order_of_the_reply_stays_however_long_saving_takes() -> None:
    world = World()
    key = sampling(world)
    for event in (image("one"), say("then"), image("two"), say("end")):
        world.feed(Progress, key, event)
    world.done(key)
    assert recorded(world) == ["user"]
    for name in ("one", "two"):
        (busy,) = saving(world)
        world.open.pop(busy)
        world.ended.add(busy)
        world.feed(Done, busy, SavedImage(f"/i/{name}.png", "/i"))
    assert recorded(world) == ["user", "developer", "one", "assistant", "developer", "two", "assistant"]
    assert world.outcome == "completed"


def test_an_interrupt_keeps_the_image_that_is_being_saved() -> None:
    world = World()
    world.feed(Progress, sampling(world), image("one"))
    world.feed(Progress, sampling(world), say("never read"))
    world.feed(Interrupt)
    assert recorded(world) == ["user", "one", "user"]
    assert world.outcome == "interrupted"
    assert not world.open
