"""The login that model requests use, as `auth.json` holds it, and what clients are told about it (spec: account).

Only reads: login, logout and refresh change the file elsewhere. A file that cannot be read counts as no login.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import msgspec

from engine.errors import BadRequest
from engine.model.endpoint import Credentials
from projections import protocol as p

Mode = Literal["apikey", "chatgpt", "chatgptAuthTokens", "agentIdentity"]


class Tokens(msgspec.Struct, frozen=True):
    """Tokens of a ChatGPT login, each a JWT but for the refresh token."""

    id_token: str = ""
    access_token: str = ""
    refresh_token: str = ""
    account_id: str | None = None


class _Profile(msgspec.Struct, frozen=True):
    email: str | None = None


class _Chatgpt(msgspec.Struct, frozen=True):
    chatgpt_plan_type: str | None = None
    chatgpt_account_id: str | None = None


class Claims(msgspec.Struct, frozen=True):
    """What the token of a ChatGPT login says of its owner."""

    email: str | None = None
    profile: _Profile | None = msgspec.field(name="https://api.openai.com/profile", default=None)
    chatgpt: _Chatgpt | None = msgspec.field(name="https://api.openai.com/auth", default=None)


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
    account = auth.tokens.account_id
    if not account and (claimed := claims(auth.tokens.id_token).chatgpt):
        account = claimed.chatgpt_account_id
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


def claims(token: str) -> Claims:
    """The claims of a JWT, unchecked: it was got over TLS, and its signature says nothing to us. Empty if broken, or if
    any is not of its type."""
    import jwt  # only logins have tokens to read

    try:
        return msgspec.convert(jwt.decode(token, options={"verify_signature": False}), Claims)
    except (jwt.InvalidTokenError, msgspec.ValidationError):
        return Claims()


def plan_type(found: Claims) -> p.PlanType:
    """The plan in the claims; one that this version does not know, or none, is `unknown`."""
    plan = found.chatgpt and found.chatgpt.chatgpt_plan_type
    known: tuple[p.PlanType, ...] = get_args(p.PlanType)
    return next((name for name in known if name == plan), "unknown")


def _account(auth: Auth) -> p.Account | None:
    if auth.mode == "apikey":
        return p.ApiKeyAccount()
    if auth.tokens is None:
        return None
    found = claims(auth.tokens.id_token)
    email = found.email or (found.profile and found.profile.email)
    if not email:
        raise BadRequest("email and plan type are required for chatgpt authentication")
    return p.ChatgptAccount(email=email, plan_type=plan_type(found))
