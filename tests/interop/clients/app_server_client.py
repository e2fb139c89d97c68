"""codex-app-server-client 0.1.0: its synchronous interface."""

# mypy: disable-error-code="import-not-found"

from codex_app_server_client import SyncCodexAppServer
from codex_app_server_client.types.threads import ThreadReadParams
from report import report, task

given = task()
with SyncCodexAppServer(codex_bin=given.server) as server:
    thread = server.resume_thread(given.thread_id) if given.thread_id else server.start_thread()
    result = thread.run(given.prompt, timeout_s=30)
    read = server.low_level.thread_read(ThreadReadParams(thread_id=thread.id, include_turns=True))
    report(
        thread_id=thread.id,
        answer=result.final_response,
        total_tokens=result.usage.total.total_tokens,
        turns=[turn.model_dump(by_alias=True, mode="json") for turn in read.thread.turns],
    )
