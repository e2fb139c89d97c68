"""codex-agent-sdk 0.0.2: a conversation, whose text comes from deltas."""

# mypy: disable-error-code="import-not-found"

import anyio
from codex_agent_sdk import Agent, CodexClient, CodexClientOptions, Conversation, Thread
from report import report, task


async def main() -> None:
    given = task()
    agent = Agent(model="gpt-5.1-codex", codex_path=given.server)
    async with CodexClient(CodexClientOptions(codex_path=given.server)) as client:
        if given.thread_id:
            opened = await client.thread_resume({"threadId": given.thread_id})
        else:
            opened = await client.thread_start({"model": "gpt-5.1-codex"})
        conversation = Conversation(agent, Thread.from_dict(opened), client)
        response = await conversation.send(given.prompt)
        usages = [event.raw["params"] for event in response.events if event.method == "thread/tokenUsage/updated"]
        read = await client.request("thread/read", {"threadId": conversation.id, "includeTurns": True})
        report(
            thread_id=conversation.id,
            answer=response.text,
            total_tokens=usages[-1]["tokenUsage"]["total"]["totalTokens"],
            turns=read["thread"]["turns"],
        )


anyio.run(main)
