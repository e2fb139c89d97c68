"""Logins to MCP servers over HTTP: found out, made, kept where the reference keeps them, used and renewed."""

from __future__ import annotations

import http.server
import os
import socket
import stat
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import msgspec
import pytest

from engine.errors import BadRequest, Internal
from engine.mcp import credentials
from engine.mcp.auth import StoredLogin
from engine.mcp.config import server
from engine.mcp.credentials import Credentials
from engine.mcp.discovery import authorization_server
from engine.mcp_methods import auth_status
from projections import protocol as p
from tests.engine.harness import CONFIG, make_home, until
from tests.engine.test_mcp_calls import Bench, bench

pytestmark = pytest.mark.anyio


ABOUT = {"name": "o", "version": "1"}


class Place(http.server.BaseHTTPRequestHandler):
    """An MCP server that wants the token `AT<n>` with the newest n, and the authorisation server beside it."""

    protocol_version = "HTTP/1.1"
    server: Served

    def log_message(self, *args: Any) -> None:
        pass

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        path = urlsplit(self.path).path
        self.server.seen.append((self.command, path, body))
        status, document = self._document(path, body)
        data = b"" if document is None else msgspec.json.encode(document)
        self.send_response(status)
        if status == 401:
            self.send_header("www-authenticate", 'Bearer realm="x"')
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer

    def _document(self, path: str, body: str) -> tuple[int, Any]:
        base = self.server.url
        match path:
            case "/.well-known/oauth-authorization-server":
                return 200, {
                    "issuer": base,
                    "authorization_endpoint": f"{base}/authorize",
                    "token_endpoint": f"{base}/token",
                    "registration_endpoint": f"{base}/register",
                    "response_types_supported": ["code"],
                    "scopes_supported": ["a", "b"],
                }
            case "/register":
                return 201, {**msgspec.json.decode(body), "client_id": "cid"}
            case "/token":
                self.server.tokens += 1
                fresh = {"access_token": f"AT{self.server.tokens}", "token_type": "Bearer", "expires_in": 3600}
                return 200, {**fresh, "refresh_token": "RT", "scope": "a b"}
            case "/mcp":
                return self._mcp(body)
        return 404, {"detail": "nothing here"}

    def _mcp(self, body: str) -> tuple[int, Any]:
        if self.headers.get("authorization") != f"Bearer AT{self.server.tokens}" or not self.server.tokens:
            return 401, {"detail": "who are you?"}
        message = msgspec.json.decode(body) if body else {}
        results: dict[str, Any] = {
            "initialize": {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "serverInfo": {"name": "o", "version": "1"},
            },
            "tools/list": {"tools": [{"name": "t", "inputSchema": {"type": "object"}}]},
            "tools/call": {"content": [{"type": "text", "text": "in"}]},
        }
        if "id" not in message:
            return 202, None
        return 200, {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}


class Served(http.server.ThreadingHTTPServer):
    """The place, what it was asked, and how many tokens it gave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Place)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.seen: list[tuple[str, str, str]] = []
        self.tokens = 0

    def asked(self, path: str) -> list[str]:
        return [body for _, at, body in self.seen if at == path]


@pytest.fixture
def place() -> Iterator[Served]:
    with Served() as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


@asynccontextmanager
async def engine(folder: Path, place: Served) -> AsyncIterator[Bench]:
    home = make_home(folder / "home")
    (home / "config.toml").write_text(
        f'{CONFIG}\n[mcp_servers.o]\nurl = "{place.url}/mcp"\n[mcp_servers.s]\ncommand = "x"\nenabled = false\n'
        '[mcp_servers.u]\nurl = "http://127.0.0.1:9/mcp"\nenabled = false\n'
    )
    async with bench(home) as running:
        yield running


async def status(running: Bench) -> dict[str, p.McpAuthStatus]:
    page = await running.host.mcp.status(p.ListMcpServerStatusParams(detail="toolsAndAuthOnly"))
    return {each.name: each.auth_status for each in page.data}


async def begin(running: Bench, **params: Any) -> dict[str, str]:
    """Start a login; what the address to open asks for."""
    answer = await running.host.mcp.login(p.McpServerOauthLoginParams(name="o", **params))
    return {name: value[0] for name, value in parse_qs(urlsplit(answer.authorization_url).query).items()}


async def come_back(asked: dict[str, str], **more: str) -> httpx2.Response:
    """What the browser does when the user is through."""
    async with httpx2.AsyncClient() as browser:
        return await browser.get(asked["redirect_uri"], params={"state": asked["state"], **more})


async def test_a_login_from_end_to_end(tmp_path: Path, place: Served) -> None:
    async with engine(tmp_path, place) as running:
        assert (await status(running))["o"] == "notLoggedIn"
        asked = await begin(running, scopes=["a"])
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"], asked["scope"]) == (
            "code",
            "cid",
            "S256",
            "a",
        )
        assert asked["redirect_uri"].startswith("http://127.0.0.1:") and asked["redirect_uri"].endswith("/callback")
        registered = msgspec.json.decode(place.asked("/register")[-1])
        assert (registered["client_name"], registered["token_endpoint_auth_method"]) == ("Codex", "none")
        page = await come_back(asked, code="CODE")
        assert (page.status_code, page.text) == (200, "Authentication complete. You may close this window.")
        await until(lambda: running.sink.of("mcpServer/oauthLogin/completed"))
        [done] = running.sink.of("mcpServer/oauthLogin/completed")
        assert msgspec.to_builtins(done) == {"name": "o", "success": True}
        exchanged = parse_qs(place.asked("/token")[-1])
        assert exchanged["code"] == ["CODE"] and exchanged["code_verifier"]
        assert (await status(running))["o"] == "oAuth"
        thread = await running.start()
        call = p.McpServerToolCallParams(thread_id=thread, server="o", tool="t")
        assert (await running.host.mcp.call(call)).content == [{"type": "text", "text": "in"}]


async def test_a_thread_without_the_login_says_so(tmp_path: Path, place: Served) -> None:
    async with engine(tmp_path, place) as running:
        await running.start()
        await until(lambda: len(running.sink.of("mcpServer/startupStatus/updated")) == 2)
        failed = running.sink.of("mcpServer/startupStatus/updated")[1]
    assert failed.error == "The o MCP server is not logged in. Run `codex mcp login o`."


@pytest.mark.parametrize(
    ("back", "shown", "error"),
    [
        (
            {"error": "access_denied", "error_description": "no, no"},
            "OAuth provider returned `access_denied`: no, no",
            "OAuth provider returned `access_denied`: no, no",
        ),
        ({"error": "x"}, "OAuth provider returned `x`", "OAuth provider returned `x`"),
    ],
)
async def test_a_refused_login(tmp_path: Path, place: Served, back: dict[str, str], shown: str, error: str) -> None:
    async with engine(tmp_path, place) as running:
        page = await come_back(await begin(running), **back)
        assert (page.status_code, page.text) == (400, shown)
        await until(lambda: running.sink.of("mcpServer/oauthLogin/completed"))
        [done] = running.sink.of("mcpServer/oauthLogin/completed")
    assert (done.success, done.error) == (False, error)
    assert not (tmp_path / "home" / credentials.FILE).exists()


async def test_whatever_else_knocks_is_sent_away(tmp_path: Path, place: Served) -> None:
    async with engine(tmp_path, place) as running:
        asked = await begin(running)
        async with httpx2.AsyncClient() as browser:
            for url in (asked["redirect_uri"], asked["redirect_uri"].replace("/callback", "/favicon.ico")):
                assert (await browser.get(url)).status_code == 400
        assert (await come_back({**asked, "state": "forged"}, code="CODE")).status_code == 200
        await until(lambda: running.sink.of("mcpServer/oauthLogin/completed"))
        [done] = running.sink.of("mcpServer/oauthLogin/completed")
    assert not done.success and done.error == "failed to handle OAuth callback" and not place.asked("/token")


async def test_who_hangs_up_or_asks_for_nothing_ends_no_login(tmp_path: Path, place: Served) -> None:
    async with engine(tmp_path, place) as running:
        asked = await begin(running)
        back = urlsplit(asked["redirect_uri"])
        for head in (b"", b"GET /callb", b"GET //[ HTTP/1.1\r\n\r\n"):
            with socket.create_connection((back.hostname or "", back.port or 0)) as knocking:
                knocking.sendall(head)
                knocking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert (await come_back(asked, code="CODE")).status_code == 200
        await until(lambda: running.sink.of("mcpServer/oauthLogin/completed"))
        [done] = running.sink.of("mcpServer/oauthLogin/completed")
    assert done.success


async def test_nobody_waits_for_a_user_for_ever(tmp_path: Path, place: Served) -> None:
    async with engine(tmp_path, place) as running:
        await begin(running, timeout_secs=1)
        await until(lambda: running.sink.of("mcpServer/oauthLogin/completed"))
        [done] = running.sink.of("mcpServer/oauthLogin/completed")
    assert (done.success, done.error) == (False, "timed out waiting for OAuth callback")


async def test_what_cannot_be_logged_in_to(tmp_path: Path, place: Served) -> None:
    """Recorded."""
    async with engine(tmp_path, place) as running:
        for name, error, message in (
            ("nope", BadRequest, "No MCP server named 'nope' found."),
            ("s", BadRequest, "OAuth login is only supported for streamable HTTP servers."),
            ("u", Internal, "failed to login to MCP server 'u': No authorization support detected"),
        ):
            with pytest.raises(error) as refused:
                await running.host.mcp.login(p.McpServerOauthLoginParams(name=name))
            assert refused.value.message == message


@pytest.mark.parametrize("left", [-10.0, 1000.0, None])
async def test_an_old_token_is_renewed(tmp_path: Path, place: Served, left: float | None) -> None:
    """When it says itself that it has expired, and when the server does not take it any more."""
    home = make_home(tmp_path / "home")
    old = Credentials(
        server_name="o",
        server_url=f"{place.url}/mcp",
        client_id="cid",
        access_token="OLD",
        expires_at=credentials.expiry(left),
        refresh_token="RT0",
    )
    credentials.save(home, old)
    async with engine(tmp_path, place) as running:
        thread = await running.start()
        call = p.McpServerToolCallParams(thread_id=thread, server="o", tool="t")
        assert (await running.host.mcp.call(call)).content == [{"type": "text", "text": "in"}]
    [asked] = place.asked("/token")
    assert parse_qs(asked) == {"grant_type": ["refresh_token"], "refresh_token": ["RT0"], "client_id": ["cid"]}
    kept = credentials.load(home, "o", f"{place.url}/mcp")
    assert kept is not None and (kept.access_token, kept.refresh_token) == ("AT1", "RT")


async def test_a_token_that_another_connection_has_renewed_is_taken(tmp_path: Path, place: Served) -> None:
    old = msgspec.structs.replace(KEPT, server_url=f"{place.url}/mcp", access_token="OLD")
    login = StoredLogin(tmp_path, old)
    place.tokens = 1
    credentials.save(tmp_path, msgspec.structs.replace(old, access_token="AT1", expires_at=None))
    async with httpx2.AsyncClient(auth=login) as client:
        assert (await client.delete(old.server_url)).status_code != 401
    assert not place.asked("/token")


async def test_connections_that_need_a_new_token_at_once_ask_for_one(tmp_path: Path, place: Served) -> None:
    old = msgspec.structs.replace(KEPT, server_url=f"{place.url}/mcp", access_token="OLD", expires_at=0)
    credentials.save(tmp_path, old)
    answers: list[int] = []

    async def connect() -> None:
        async with httpx2.AsyncClient(auth=StoredLogin(tmp_path, old)) as client:
            answers.append((await client.delete(old.server_url)).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(connect)
    assert len(place.asked("/token")) == 1 and 401 not in answers


async def test_a_renewed_token_that_cannot_be_kept_still_counts(tmp_path: Path, place: Served) -> None:
    (tmp_path / credentials.FILE).mkdir()
    old = msgspec.structs.replace(KEPT, server_url=f"{place.url}/mcp", access_token="OLD")
    async with httpx2.AsyncClient(auth=StoredLogin(tmp_path, old)) as client:
        assert (await client.delete(old.server_url)).status_code != 401
    assert len(place.asked("/token")) == 1


# -- the file


ENTRY = (
    '{"o|db76afef576357e4":{"server_name":"o","server_url":"http://127.0.0.1:38027/mcp","client_id":"cid",'
    '"access_token":"AT","expires_at":1795355274923,"refresh_token":"RT","scopes":["a","b"]}}'
)
KEPT = Credentials(
    server_name="o",
    server_url="http://127.0.0.1:38027/mcp",
    client_id="cid",
    access_token="AT",
    expires_at=1795355274923,
    refresh_token="RT",
    scopes=("a", "b"),
)


def test_the_file_is_that_of_the_reference(tmp_path: Path) -> None:
    """Recorded, the hash too."""
    credentials.save(tmp_path, KEPT)
    file = tmp_path / credentials.FILE
    assert file.read_text() == ENTRY
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert credentials.load(tmp_path, "o", KEPT.server_url) == KEPT
    assert credentials.load(tmp_path, "o", "http://elsewhere/") is None


def test_other_logins_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / credentials.FILE
    file.write_text('{"x|1":{"server_name":"x","later":[1, 2]},' + ENTRY[1:])
    credentials.save(tmp_path, msgspec.structs.replace(KEPT, access_token="NEW"))
    assert file.read_text().startswith('{"x|1":{"server_name":"x","later":[1, 2]},') and "NEW" in file.read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"o|db76afef576357e4":{"server_name":3}}'])
def test_a_file_that_cannot_be_read_has_no_logins(tmp_path: Path, text: str) -> None:
    (tmp_path / credentials.FILE).write_text(text)
    assert credentials.load(tmp_path, "o", KEPT.server_url) is None


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"\xff":1}'])
def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / credentials.FILE
    file.write_bytes(text)
    with pytest.raises(ValueError):
        credentials.save(tmp_path, KEPT)
    assert file.read_bytes() == text and credentials.load(tmp_path, "o", KEPT.server_url) is None


def test_logins_kept_at_once_are_all_there(tmp_path: Path) -> None:
    servers = [f"s{number}" for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: credentials.save(tmp_path, msgspec.structs.replace(KEPT, server_name=n)), servers))
    assert all(credentials.load(tmp_path, name, KEPT.server_url) for name in servers)


def test_a_token_that_does_not_say_how_long_it_lasts() -> None:
    assert credentials.expiry(None) is None
    assert msgspec.structs.replace(KEPT, expires_at=None).seconds_left is None
    assert (msgspec.structs.replace(KEPT, expires_at=0).seconds_left or 0) < 0


# -- discovery


async def test_metadata_is_looked_for_where_the_reference_looks(place: Served) -> None:
    found = await authorization_server(f"{place.url}/mcp")
    assert found is not None and found.token_endpoint == f"{place.url}/token"
    assert [path for _, path, _ in place.seen] == [
        "/.well-known/oauth-authorization-server/mcp",
        "/mcp/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server",
    ]


async def test_the_server_that_a_resource_names_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def get(client: object, url: str) -> Any:
        asked.append(url)
        if url == "http://m/.well-known/oauth-protected-resource":
            return {"authorization_servers": ["http://[", "http://a/b/", "http://c"]}
        if url == "http://c/.well-known/openid-configuration":
            return {"authorization_endpoint": "A", "token_endpoint": "T"}
        return None

    monkeypatch.setattr("engine.mcp.discovery._get", get)
    found = await authorization_server("http://m/mcp")
    assert found is not None and found.token_endpoint == "T"
    assert asked[3:] == [
        "http://m/.well-known/oauth-protected-resource/mcp",
        "http://m/.well-known/oauth-protected-resource",
        "http://a/.well-known/oauth-authorization-server/b",
        "http://a/b/.well-known/oauth-authorization-server",
        "http://a/.well-known/oauth-authorization-server",
        "http://a/.well-known/openid-configuration/b",
        "http://a/b/.well-known/openid-configuration",
        "http://c/.well-known/oauth-authorization-server",
        "http://c/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/mcp", "http://127.0.0.1:99999/mcp", "http://[", "nowhere"])
async def test_a_server_that_is_not_there_has_none(url: str) -> None:
    with anyio.fail_after(20):
        assert await authorization_server(url, {"X-A": "ü"}) is None


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b"[" * 100_000, b"{"])
async def test_an_answer_that_cannot_be_read_names_none(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    async def get(client: object, url: str) -> httpx2.Response:
        return httpx2.Response(200, content=body)

    monkeypatch.setattr(httpx2.AsyncClient, "get", get)
    assert await authorization_server("http://m/mcp") is None


async def test_a_login_may_stand_in_a_header_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "MY_LOGIN", "Basic x")
    asked = server("h", {"url": "http://127.0.0.1:9/", "env_http_headers": {"Authorization": "MY_LOGIN"}})
    assert await auth_status(asked, tmp_path) == "bearerToken"
