"""The login that model requests use, as `auth.json` holds it, and what clients are told about it (spec: account).

Only reads: login, logout and refresh change the file elsewhere. A file that cannot be read counts as no login.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from engine.errors import BadRequest
from engine.model.endpoint import Credentials
from projections import protocol as p

_CLAIMS = "https://api.openai.com/auth"
_PROFILE = "https://api.openai.com/profile"

Mode = Literal["apikey", "chatgpt", "chatgptAuthTokens", "agentIdentity"]


class Tokens(msgspec.Struct, frozen=True):
    """Tokens of a ChatGPT login, each a JWT but for the refresh token."""

    id_token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    account_id: str | None = None


class Auth(msgspec.Struct, frozen=True):
    """A stored login."""

    auth_mode: Mode | None = None
    api_key: str | None = msgspec.field(name="OPENAI_API_KEY", default=None)
    tokens: Tokens | None = None

    @property
    def mode(self) -> Mode | None:
        """The kind of login; files of old versions do not say, then the fields do."""
        return self.auth_mode or ("chatgpt" if self.tokens else "apikey" if self.api_key is not None else None)


def stored(home: Path) -> Auth | None:
    """The login in `auth.json`, `None` if there is none."""
    try:
        auth = msgspec.json.decode((home / "auth.json").read_bytes(), type=Auth)
    except (OSError, ValueError):
        return None
    return auth if auth.mode else None


def credentials(auth: Auth | None) -> Credentials | None:
    """What a model request sends along."""
    if auth is None:
        return None
    if auth.mode == "apikey":
        return Credentials(bearer=auth.api_key)
    if auth.tokens is None:
        return None
    account = auth.tokens.account_id or claims(auth.tokens.id_token).get(_CLAIMS, {}).get("chatgpt_account_id")
    headers = {"chatgpt-account-id": account} if account else {}
    return Credentials(bearer=auth.tokens.access_token, headers=headers, chatgpt=True)


def chatgpt(auth: Auth | None) -> Credentials:
    """What a request for the account's rate limits sends along.

    :raises BadRequest: nobody is logged in, or not with ChatGPT.
    """
    if auth is None:
        raise BadRequest("codex account authentication required to read rate limits")
    found = credentials(auth)
    if found is None or not found.chatgpt:
        raise BadRequest("chatgpt authentication required to read rate limits")
    return found


def read(auth: Auth | None, requires_openai_auth: bool) -> p.GetAccountResponse:
    """`account/read`: no account for a provider that needs none, even when logged in.

    :param requires_openai_auth: of the configured model provider
    :raises BadRequest: for a ChatGPT login without an email
    """
    account = _account(auth) if auth and requires_openai_auth else None
    return p.GetAccountResponse(account=account, requires_openai_auth=requires_openai_auth)


def claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unchecked: it was got over TLS, and its signature says nothing to us. Empty if broken."""
    import jwt  # only logins have tokens to read

    try:
        found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}
    return found


def plan_type(found: dict[str, Any]) -> p.PlanType:
    """The plan in the claims; one that this version does not know, or none, is `unknown`."""
    plan = found.get(_CLAIMS, {}).get("chatgpt_plan_type")
    known: tuple[p.PlanType, ...] = get_args(p.PlanType)
    return next((name for name in known if name == plan), "unknown")


def _account(auth: Auth) -> p.Account | None:
    if auth.mode == "apikey":
        return p.ApiKeyAccount()
    if auth.tokens is None:
        return None
    found = claims(auth.tokens.id_token)
    email = found.get("email") or found.get(_PROFILE, {}).get("email")
    if not email:
        raise BadRequest("email and plan type are required for chatgpt authentication")
    return p.ChatgptAccount(email=email, plan_type=plan_type(found))
