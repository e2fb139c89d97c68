"""Bearer tokens of websocket clients: the tables of who is let in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest

from engine.appserver.transports.auth import (
    INVALID,
    INVALID_JWT,
    MISSING,
    NO_BEARER,
    AuthFlags,
    Guard,
    check_flags,
    make_guard,
)

SECRET = b"s" * 32


def test_without_flags_everybody_comes_in() -> None:
    check_flags(AuthFlags())
    guard = make_guard(AuthFlags())
    assert guard(None) is None
    assert guard("Bearer anything") is None


@pytest.fixture(params=["file", "digest"])
def capability(request: pytest.FixtureRequest, tmp_path: Path) -> Guard:
    (tmp_path / "token").write_text("\n tok \n")
    digest = hashlib.sha256(b"tok").hexdigest().upper()
    given = {"file": {"token_file": tmp_path / "token"}, "digest": {"token_sha256": digest}}[request.param]
    flags = AuthFlags(mode="capability-token", **given)  # type: ignore[arg-type]
    check_flags(flags)
    return make_guard(flags)


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        (None, MISSING),
        ("Bearer tok", None),
        ("bearer tok", None),
        ("BEARER   tok ", None),
        ("Bearer x", INVALID),
        ("Bearer tok2", INVALID),
        ("Bearer Tok", INVALID),
        ("Bearer to\xf6k", INVALID),
        ("Bearer ", NO_BEARER),
        ("Bearer", NO_BEARER),
        ("Basic tok", NO_BEARER),
        ("tok", NO_BEARER),
        ("", NO_BEARER),
    ],
)
def test_capability_tokens(capability: Guard, header: str | None, refusal: str | None) -> None:
    assert capability(header) == refusal


def jwt(claims: Any, algorithm: str = "HS256", key: bytes = SECRET, header: dict[str, Any] | None = None) -> str:
    """A token made by hand, so that wrong ones can be made too."""
    parts = [json.dumps(part).encode() for part in (header or {"alg": algorithm, "typ": "JWT"}, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    digest = {"HS256": "sha256", "HS512": "sha512"}.get(algorithm)
    signature = hmac.digest(key, signed, digest) if digest else b""
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


NOW = int(time.time())
GOOD = {"exp": NOW + 600, "iss": "me", "aud": "you"}

TOKENS = {
    "good": (jwt(GOOD), None),
    "one of several audiences": (jwt({**GOOD, "aud": ["x", "you"]}), None),
    "soon valid, within the skew": (jwt({**GOOD, "nbf": NOW + 10}), None),
    "no begin": (jwt({**GOOD, "nbf": None}), None),
    "issued in the future": (jwt({**GOOD, "iat": NOW + 1000}), None),
    "odd subject": (jwt({**GOOD, "sub": 5, "jti": 6}), None),
    "no type in the header": (jwt(GOOD, header={"alg": "HS256"}), None),
    "expired": (jwt({**GOOD, "exp": NOW - 40}), "expired websocket jwt"),
    "not valid yet": (jwt({**GOOD, "nbf": NOW + 600}), "websocket jwt is not valid yet"),
    "other issuer": (jwt({**GOOD, "iss": "x"}), "websocket jwt issuer mismatch"),
    "list of issuers": (jwt({**GOOD, "iss": ["me"]}), "websocket jwt issuer mismatch"),
    "no issuer": (jwt({"exp": NOW + 600, "aud": "you"}), "websocket jwt issuer mismatch"),
    "other audience": (jwt({**GOOD, "aud": "x"}), "websocket jwt audience mismatch"),
    "part of an audience": (jwt({**GOOD, "aud": "yo"}), "websocket jwt audience mismatch"),
    "number as audience": (jwt({**GOOD, "aud": 5}), "websocket jwt audience mismatch"),
    "no audience": (jwt({"exp": NOW + 600, "iss": "me"}), "websocket jwt audience mismatch"),
    "no end": (jwt({"iss": "me", "aud": "you"}), INVALID_JWT),
    "text as end": (jwt({**GOOD, "exp": str(NOW + 600)}), INVALID_JWT),
    "fraction as end": (jwt({**GOOD, "exp": NOW + 600.5}), INVALID_JWT),
    "true as end": (jwt({**GOOD, "exp": True}), INVALID_JWT),
    "text as begin": (jwt({**GOOD, "nbf": "0"}), INVALID_JWT),
    "other key": (jwt(GOOD, key=b"t" * 32), INVALID_JWT),
    "other algorithm": (jwt(GOOD, "HS512"), INVALID_JWT),
    "unsigned": (jwt(GOOD, "none"), INVALID_JWT),
    "other algorithm claimed": (jwt(GOOD, header={"alg": "none"}), INVALID_JWT),
    "no object": (jwt([]), INVALID_JWT),
    "cut short": (jwt(GOOD)[:-1], INVALID_JWT),
    "no token": ("abc", INVALID_JWT),
}


@pytest.mark.parametrize(("token", "refusal"), TOKENS.values(), ids=TOKENS.keys())
def test_signed_tokens(token: str, refusal: str | None, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    flags = AuthFlags(
        mode="signed-bearer-token", secret_file=tmp_path / "secret", issuer="me", audience="you", max_skew=None
    )
    check_flags(flags)
    assert make_guard(flags)(f"Bearer {token}") == refusal


def test_a_token_just_over_is_within_the_default_skew(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    flags = AuthFlags(mode="signed-bearer-token", secret_file=tmp_path / "secret", max_skew=None)
    assert make_guard(flags)(f"Bearer {jwt({'exp': int(time.time()) - 10})}") is None


@pytest.mark.parametrize(("skew", "refusal"), [(0, "expired websocket jwt"), (3600, None)])
def test_the_skew_is_what_the_flag_says(skew: int, refusal: str | None, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    flags = AuthFlags(mode="signed-bearer-token", secret_file=tmp_path / "secret", max_skew=skew)
    assert make_guard(flags)(f"Bearer {jwt({'exp': NOW - 100})}") == refusal


def test_neither_issuer_nor_audience_matter_when_none_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET)
    guard = make_guard(AuthFlags(mode="signed-bearer-token", secret_file=tmp_path / "secret"))
    assert guard(f"Bearer {jwt({'exp': NOW + 600})}") is None
    assert guard(None) == MISSING
    assert guard("Basic x") == NO_BEARER
