"""The history as a request carries it."""

import msgspec

from engine.model.info import ModelInfo
from engine.outputs import for_request
from rollouts import codec
from rollouts import events as ev

IMAGE = ev.InputImage("data:image/png;base64,AAAA", detail="high")
OMITTED = ev.InputText("image content omitted because you do not support image input")
ITEMS: tuple[ev.ResponseItem, ...] = (
    ev.Message(role="user", content=(ev.InputText("look"), IMAGE)),
    ev.FunctionCallOutput(call_id="c", output=(IMAGE,)),
    ev.ImageGenerationCall(id="i", status="completed", result="AAAA"),
    ev.Message(role="assistant", content=(ev.OutputText("no image"),)),
)
RAW = [msgspec.Raw(codec.encode_item(item)) for item in ITEMS]


def carried(*modalities: str) -> list[object]:
    model = msgspec.convert({"slug": "m", "input_modalities": modalities}, ModelInfo)
    return [codec.decode_item(raw) for raw in for_request(RAW, model)]


def test_a_model_that_takes_images_gets_them() -> None:
    assert carried("text", "image") == list(ITEMS)


def test_a_model_that_takes_none_is_told_that_they_were_left_out() -> None:
    assert carried("text") == [
        ev.Message(role="user", content=(ev.InputText("look"), OMITTED)),
        ev.FunctionCallOutput(call_id="c", output=(OMITTED,)),
        ev.ImageGenerationCall(id="i", status="completed", result=""),
        ITEMS[3],
    ]
