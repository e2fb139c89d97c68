"""`account/rateLimits/read` over the real server, with a local account backend."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.appserver.handlers.account import HANDLERS
from engine.catalogs import Catalogs
from tests.appserver.fake_host import Client, serving

pytestmark = pytest.mark.anyio

FAILED = "failed to fetch codex rate limits: "
CHATGPT = {"auth_mode": "chatgpt", "tokens": {"access_token": "access", "account_id": "acct"}}


class Backend:
    """Answers every GET with `status` and `body`; keeps the paths and headers it was asked with."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = {}
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                backend.paths.append(self.path)
                backend.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(backend.status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(backend.body).encode())

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def backend() -> Iterator[Backend]:
    made = Backend()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@asynccontextmanager
async def client(home: Path, base: str = "", auth: dict[str, Any] | None = None) -> AsyncIterator[Client]:
    """A connection to a server with this home, backend and login."""
    (home / "config.toml").write_text(f'chatgpt_base_url = "{base}"\n')
    if auth is not None:
        (home / "auth.json").write_text(json.dumps(auth))
    async with serving(HANDLERS) as running:
        running.host.catalogs = Catalogs(home, {}, home, lambda: "tester/1")  # type: ignore[attr-defined]
        yield await running.client()


async def answer(home: Path, backend: Backend, body: Any, status: int = 200) -> dict[str, Any]:
    """The whole answer to a client, when the backend says this."""
    backend.status, backend.body = status, body
    async with client(home, f"{backend.url}/backend-api/", CHATGPT) as one:
        found: dict[str, Any] = await one.call("account/rateLimits/read")
    return found


def limit(**windows: tuple[float, int, int]) -> dict[str, Any]:
    """`rate_limit` with these windows, each: percent used, seconds, end."""
    names = ("used_percent", "limit_window_seconds", "reset_at")
    made = {f"{name}_window": dict(zip(names, values, strict=True)) for name, values in windows.items()}
    return {"allowed": True, "limit_reached": False, **made}


def shown(**fields: Any) -> dict[str, Any]:
    """A snapshot as clients see it, null where nothing else is said."""
    names = ("limitId", "limitName", "primary", "secondary", "credits", "planType", "rateLimitReachedType")
    return {**dict.fromkeys(names), "limitId": "codex", **fields}


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        (None, "codex account authentication required to read rate limits"),
        ({"OPENAI_API_KEY": "sk-test"}, "chatgpt authentication required to read rate limits"),
        ({"auth_mode": "chatgpt"}, "chatgpt authentication required to read rate limits"),
    ],
)
async def test_only_a_chatgpt_login_has_rate_limits(tmp_path: Path, auth: dict[str, Any] | None, said: str) -> None:
    async with client(tmp_path, auth=auth) as one:
        received = await one.call("account/rateLimits/read")
    assert received["error"] == {"code": -32600, "message": said}


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("/backend-api", "/backend-api/wham/usage"),
        ("/backend-api/", "/backend-api/wham/usage"),
        ("", "/api/codex/usage"),
        ("/other/", "/other/api/codex/usage"),
    ],
)
async def test_the_login_goes_to_the_path_of_the_backend(
    tmp_path: Path, backend: Backend, base: str, path: str
) -> None:
    backend.body = {"plan_type": "plus"}
    async with client(tmp_path, backend.url + base, CHATGPT) as one:
        assert "result" in await one.call("account/rateLimits/read")
        assert "result" in await one.call("account/rateLimits/read")
    assert backend.paths == [path] * 2, "nothing is kept between calls"
    sent = backend.headers[0]
    assert (sent["authorization"], sent["chatgpt-account-id"]) == ("Bearer access", "acct")
    assert sent["user-agent"] == "tester/1"


async def test_limits_are_shown_by_their_ids(tmp_path: Path, backend: Backend) -> None:
    body = {
        "plan_type": "prolite",
        "rate_limit": limit(primary=(12.5, 18_000, 1_800_000_000), secondary=(50, 604_801, 1_800_500_000)),
        "credits": {"has_credits": True, "unlimited": False, "balance": "9.99", "approx_local_messages": [1, 2]},
        "rate_limit_reached_type": {"type": "workspace_member_credits_depleted"},
        "additional_rate_limits": [
            {"limit_name": "Other", "metered_feature": "codex_other", "rate_limit": limit(primary=(1, 0, 9))}
        ],
    }
    main = shown(
        primary={"usedPercent": 13, "windowDurationMins": 300, "resetsAt": 1_800_000_000},
        secondary={"usedPercent": 50, "windowDurationMins": 10_081, "resetsAt": 1_800_500_000},
        credits={"hasCredits": True, "unlimited": False, "balance": "9.99"},
        planType="prolite",
        rateLimitReachedType="workspace_member_credits_depleted",
    )
    window = {"usedPercent": 1, "windowDurationMins": None, "resetsAt": 9}
    other = shown(limitId="codex_other", limitName="Other", primary=window, planType="prolite")
    received = (await answer(tmp_path, backend, body))["result"]
    assert received == {"rateLimits": main, "rateLimitsByLimitId": {"codex": main, "codex_other": other}}


async def test_unknown_plans_and_reasons_are_no_errors(tmp_path: Path, backend: Backend) -> None:
    body = {"plan_type": "futureplan", "rate_limit": None, "rate_limit_reached_type": {"type": "something_new"}}
    received = await answer(tmp_path, backend, body)
    assert received["result"]["rateLimits"] == shown(planType="unknown")


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, {"x": 1}, "GET {url} failed: 500 Internal Server Error"),
        (401, "no", "GET {url} failed: 401 Unauthorized"),
        (200, {}, "Decode error for {url}: missing field `plan_type` at line 1 column 2"),
        (
            200,
            {"plan_type": 7},
            "Decode error for {url}: invalid type: integer `7`, expected a string at line 1 column 15",
        ),
    ],
)
async def test_a_backend_that_fails_is_quoted(
    tmp_path: Path, backend: Backend, status: int, body: Any, said: str
) -> None:
    error = (await answer(tmp_path, backend, body, status))["error"]
    reason = said.format(url=f"{backend.url}/backend-api/wham/usage")
    quoted = f"content-type=application/json; body={json.dumps(body)}"
    assert error == {"code": -32603, "message": f"{FAILED}{reason}; {quoted}"}


@pytest.mark.parametrize("base", ["http://127.0.0.1:1/backend-api", "nothing:/backend-api", "http://[/backend-api"])
async def test_a_backend_that_cannot_be_reached_is_named(tmp_path: Path, base: str) -> None:
    async with client(tmp_path, base, CHATGPT) as one:
        received = await one.call("account/rateLimits/read")
    said = f"{FAILED}error sending request for url ({base}/wham/usage)"
    assert received["error"] == {"code": -32603, "message": said}
