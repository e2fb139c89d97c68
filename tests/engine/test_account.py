"""The stored login: what clients are told about it and what model requests send along."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from engine import account
from engine.errors import BadRequest
from engine.model.endpoint import Credentials
from projections import protocol as p

AUTH = "https://api.openai.com/auth"


def token(**claims: Any) -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}.{part('signature')}"


def login(home: Path, **fields: Any) -> account.Auth | None:
    (home / "auth.json").write_text(json.dumps(fields))
    return account.stored(home)


def chatgpt(home: Path, **claims: Any) -> account.Auth | None:
    tokens = {"id_token": token(**claims), "access_token": "access", "refresh_token": "r", "account_id": "acct"}
    return login(home, auth_mode="chatgpt", OPENAI_API_KEY=None, tokens=tokens, last_refresh="2026-04-22T00:00:00Z")


def test_nobody_is_logged_in_without_a_file(tmp_path: Path) -> None:
    assert account.stored(tmp_path) is None
    assert account.read(None, True) == p.GetAccountResponse(account=None, requires_openai_auth=True)
    assert account.credentials(None) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"auth_mode": "other"}', '{"OPENAI_API_KEY": null}'])
def test_a_file_that_says_nothing_is_no_login(tmp_path: Path, content: str) -> None:
    (tmp_path / "auth.json").write_text(content)
    assert account.stored(tmp_path) is None


@pytest.mark.parametrize("mode", [{"auth_mode": "apikey"}, {}])
def test_an_api_key(tmp_path: Path, mode: dict[str, str]) -> None:
    auth = login(tmp_path, OPENAI_API_KEY="sk-test", **mode)
    assert account.read(auth, True) == p.GetAccountResponse(account=p.ApiKeyAccount(), requires_openai_auth=True)
    assert account.credentials(auth) == Credentials(bearer="sk-test")


def test_an_account_is_hidden_for_a_provider_that_needs_none(tmp_path: Path) -> None:
    auth = login(tmp_path, auth_mode="apikey", OPENAI_API_KEY="sk-test")
    assert account.read(auth, False) == p.GetAccountResponse(account=None, requires_openai_auth=False)


@pytest.mark.parametrize(
    ("claim", "plan"),
    [("free", "free"), ("prolite", "prolite"), ("futureplan", "unknown"), (None, "unknown")],
)
def test_a_chatgpt_login_shows_email_and_plan(tmp_path: Path, claim: str | None, plan: str) -> None:
    auth = chatgpt(tmp_path, email="u@example.com", **{AUTH: {"chatgpt_plan_type": claim} if claim else {}})
    answer = account.read(auth, True).account
    assert isinstance(answer, p.ChatgptAccount)
    assert (answer.email, answer.plan_type) == ("u@example.com", plan)


def test_the_email_may_be_in_the_profile(tmp_path: Path) -> None:
    auth = chatgpt(tmp_path, **{"https://api.openai.com/profile": {"email": "p@example.com"}})
    assert account.read(auth, True).account == p.ChatgptAccount(email="p@example.com", plan_type="unknown")


def test_a_chatgpt_login_without_email_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest) as caught:
        account.read(chatgpt(tmp_path), True)
    assert caught.value.message == "email and plan type are required for chatgpt authentication"


def test_a_chatgpt_login_sends_its_token_and_account(tmp_path: Path) -> None:
    sent = account.credentials(chatgpt(tmp_path, email="u@example.com"))
    assert sent == Credentials(bearer="access", headers={"chatgpt-account-id": "acct"}, chatgpt=True)


def test_the_account_may_be_in_the_token_only(tmp_path: Path) -> None:
    tokens = {"id_token": token(**{AUTH: {"chatgpt_account_id": "claimed"}}), "access_token": "a"}
    sent = account.credentials(login(tmp_path, tokens=tokens))
    assert sent is not None
    assert sent.headers == {"chatgpt-account-id": "claimed"}


@pytest.mark.parametrize("broken", ["", "x", "a.b", "a.b.c"])
def test_a_broken_token_has_no_claims(broken: str) -> None:
    assert account.claims(broken) == account.Claims()


@pytest.mark.parametrize("odd", [{AUTH: "x"}, {AUTH: {"chatgpt_account_id": 5}}, {"email": 5}])
def test_claims_of_a_wrong_type_say_nothing(tmp_path: Path, odd: dict[str, Any]) -> None:
    tokens = {"id_token": token(**odd), "access_token": "a"}
    auth = login(tmp_path, tokens=tokens)
    assert account.credentials(auth) == Credentials(bearer="a", chatgpt=True)
    with pytest.raises(BadRequest, match="email and plan type are required"):
        account.read(auth, True)
