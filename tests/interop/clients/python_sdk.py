"""codex-python-sdk 0.2.1: its synchronous client, with a feature flag and a config override on the command line."""

# mypy: disable-error-code="import-not-found"

from codex_python_sdk import create_client
from report import report, task

given = task()
with create_client(
    codex_command=given.server,
    disabled_features=["shell_snapshot"],
    server_config_overrides={"model_reasoning_effort": "low"},
) as client:
    response = client.responses_create(prompt=given.prompt, thread_id=given.thread_id, include_events=True)
    usages = [event.token_usage for event in response.events if event.token_usage]
    read = client.thread_read(response.thread_id, include_turns=True)
    report(
        thread_id=response.thread_id,
        answer=response.text,
        total_tokens=usages[-1]["total"]["totalTokens"],
        turns=read["turns"],
    )
