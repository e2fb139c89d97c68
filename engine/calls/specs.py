"""The tools as the model sees them: names, arguments and their types are the reference's, descriptions ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from engine.settings import Settings


def tool_specs(settings: Settings) -> tuple[msgspec.Raw, ...]:
    """The tools offered with a request, in the reference's order (spec tools 1)."""
    return (UPDATE_PLAN,)


def function(name: str, description: str, properties: dict[str, Any], required: list[str]) -> msgspec.Raw:
    """One function tool."""
    return msgspec.Raw(
        msgspec.json.encode(
            {
                "type": "function",
                "name": name,
                "description": description,
                "strict": False,
                "parameters": {
                    "type": "object",
                    "properties": properties,
                    "required": required,
                    "additionalProperties": False,
                },
            }
        )
    )


UPDATE_PLAN = function(
    "update_plan",
    "Keep the checklist of the task: give all steps each time, each with its status; at most one is in_progress.",
    {
        "explanation": {"type": "string", "description": "Why the plan changed, in a sentence."},
        "plan": {
            "type": "array",
            "description": "All steps, in order.",
            "items": {
                "type": "object",
                "properties": {
                    "step": {"type": "string", "description": "What is done in this step."},
                    "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                },
                "required": ["step", "status"],
                "additionalProperties": False,
            },
        },
    },
    ["plan"],
)
