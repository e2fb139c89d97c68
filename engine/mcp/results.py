"""What an MCP tool answered, as events and as the model reads it. Pure (spec tools 6)."""

from __future__ import annotations

from typing import Any

import msgspec

from rollouts import codec
from rollouts import events as ev

NO_IMAGES = "<image content omitted because you do not support image input>"


def result(answer: dict[str, Any]) -> ev.McpResult:
    """A server's answer as events carry it; content that is none counts as empty."""
    content, error = answer.get("content"), answer.get("isError")
    structured, meta = answer.get("structuredContent"), answer.get("_meta")
    return ev.McpResult(
        ok=ev.McpOutput(
            content=tuple(map(codec.open_json, content)) if isinstance(content, list) else (),
            structured_content=msgspec.UNSET if structured is None else codec.open_json(structured),
            is_error=error if isinstance(error, bool) else None,
            meta=msgspec.UNSET if meta is None else codec.open_json(meta),
        )
    )


def text_result(text: str) -> ev.McpResult:
    """The result of a tool of our own that answers with a text."""
    return result({"content": [{"type": "text", "text": text}], "isError": False})


def without_images(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer for a model that cannot see."""
    content = answer.get("content")
    if not isinstance(content, list):
        return answer
    return {**answer, "content": [_text(NO_IMAGES) if _is(item, "image") else item for item in content]}


def output(found: ev.McpResult, seconds: float) -> ev.OutputBody:
    """The output for the model: structured content if there is any, else the content, in a frame with the time."""
    frame = f"Wall time: {seconds:.4f} seconds\nOutput:"
    if isinstance(found.ok, msgspec.UnsetType):
        return f"{frame}\n{failure('' if isinstance(found.err, msgspec.UnsetType) else found.err)}"
    if not isinstance(found.ok.structured_content, msgspec.UnsetType):
        return f"{frame}\n{bytes(found.ok.structured_content).decode()}"
    content = [msgspec.json.decode(item) for item in found.ok.content]
    if any(_is(item, "image") for item in content):
        return (ev.InputText(frame), *map(_part, content))
    return f"{frame}\n{_json(content)}"


def failure(text: str) -> str:
    """An error in the form of a result."""
    return _json([_text(text)])


def _part(item: Any) -> ev.InputText | ev.InputImage:
    if _is(item, "image"):
        data = str(item.get("data", ""))
        mime = item.get("mimeType") or "application/octet-stream"
        return ev.InputImage(data if data.startswith("data:") else f"data:{mime};base64,{data}", detail="high")
    if _is(item, "text"):
        return ev.InputText(str(item.get("text", "")))
    return ev.InputText(_json(item))


def _is(item: object, kind: str) -> bool:
    return isinstance(item, dict) and item.get("type") == kind


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
