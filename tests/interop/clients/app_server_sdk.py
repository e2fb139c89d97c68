"""codex-app-server-sdk 0.4.1 over stdio."""

# mypy: disable-error-code="import-not-found"

import asyncio

from codex_app_server_sdk import CodexClient
from report import report, task


async def main() -> None:
    given = task()
    async with CodexClient.connect_stdio(command=[given.server, "app-server"], inactivity_timeout=30) as client:
        opened = client.resume_thread(given.thread_id) if given.thread_id else client.start_thread()
        thread = await opened
        result = await thread.chat_once(given.prompt)
        usages = [one["params"] for one in result.raw_events if one["method"] == "thread/tokenUsage/updated"]
        read = await thread.read()
        report(
            thread_id=thread.thread_id,
            answer=result.final_text,
            total_tokens=usages[-1]["tokenUsage"]["total"]["totalTokens"],
            turns=read["thread"]["turns"],
        )


asyncio.run(main())
