"""tdai-codex-sdk 0.3.2, a build of the reference's own SDK: every answer and notification is decoded strictly."""

# mypy: disable-error-code="import-not-found"

from codex_app_server import AppServerConfig, Codex
from report import report, task

given = task()
with Codex(AppServerConfig(codex_bin=given.server, config_overrides=('model_reasoning_effort="low"',))) as codex:
    thread = codex.thread_resume(given.thread_id) if given.thread_id else codex.thread_start()
    result = thread.run(given.prompt)
    read = thread.read(include_turns=True)
    report(
        thread_id=thread.id,
        answer=result.final_response,
        total_tokens=result.usage.total.total_tokens,
        turns=[turn.model_dump(by_alias=True, mode="json") for turn in read.thread.turns],
    )
