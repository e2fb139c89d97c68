"""Who may open a websocket: nobody is asked, a shared token, or a signed bearer token (wire.md, section 6).

Start-up refuses flags that contradict each other or name no usable secret. Afterwards every check is constant in time
with respect to the secret, and any doubt is a refusal.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from engine.errors import StartupError, os_reason

MIN_SECRET = 32
DEFAULT_SKEW = 30

MISSING = "missing websocket bearer token"
NO_BEARER = "invalid authorization header"
INVALID = "invalid websocket bearer token"
INVALID_JWT = "invalid websocket jwt"

#: Takes the value of the Authorization header (None: there is none) and gives the reason to refuse, or None.
Guard = Callable[[str | None], str | None]


class AuthFlags(msgspec.Struct, frozen=True):
    """The ``--ws-*`` flags as given."""

    mode: str | None = None
    token_file: Path | None = None
    token_sha256: str | None = None
    secret_file: Path | None = None
    issuer: str | None = None
    audience: str | None = None
    max_skew: int | None = None

    @property
    def names_token(self) -> bool:
        """Whether a flag of the mode `capability-token` was given."""
        return self.token_file is not None or self.token_sha256 is not None

    @property
    def names_signature(self) -> bool:
        """Whether a flag of the mode `signed-bearer-token` was given."""
        signed = (self.secret_file, self.issuer, self.audience, self.max_skew)
        return any(flag is not None for flag in signed)


def check_flags(flags: AuthFlags) -> None:
    """Refuse contradictory flags, whatever the transport.

    :raises StartupError: in the reference's words.
    """
    if fault := _FLAG_RULES[flags.mode](flags):
        raise StartupError(fault)


def make_guard(flags: AuthFlags) -> Guard:
    """The guard that checked flags ask for; reads the secret.

    :raises StartupError: when the secret cannot be read, is empty or too short.
    """
    if flags.mode == "capability-token":
        return _capability_guard(flags)
    if flags.mode == "signed-bearer-token":
        return _signature_guard(flags)
    return lambda authorization: None


def _no_mode(flags: AuthFlags) -> str | None:
    if flags.names_token or flags.names_signature:
        return "websocket auth flags require `--ws-auth capability-token` or `--ws-auth signed-bearer-token`"
    return None


def _capability_mode(flags: AuthFlags) -> str | None:
    if flags.names_signature:
        return (
            "`--ws-shared-secret-file`, `--ws-issuer`, `--ws-audience`, and `--ws-max-clock-skew-seconds` "
            "require `--ws-auth signed-bearer-token`"
        )
    if not flags.names_token:
        return "`--ws-token-file` or `--ws-token-sha256` is required when `--ws-auth capability-token` is set"
    if flags.token_file is not None and flags.token_sha256 is not None:
        return "`--ws-token-file` and `--ws-token-sha256` are mutually exclusive"
    if flags.token_sha256 is not None and not re.fullmatch(r"\s*[0-9a-fA-F]{64}\s*", flags.token_sha256):
        return "--ws-token-sha256 must be a 64-character hex SHA-256 digest"
    return None


def _signature_mode(flags: AuthFlags) -> str | None:
    if flags.names_token:
        return (
            "`--ws-token-file` and `--ws-token-sha256` require `--ws-auth capability-token`, not `signed-bearer-token`"
        )
    if flags.secret_file is None:
        return "`--ws-shared-secret-file` is required when `--ws-auth signed-bearer-token` is set"
    return None


_FLAG_RULES: dict[str | None, Callable[[AuthFlags], str | None]] = {
    None: _no_mode,
    "capability-token": _capability_mode,
    "signed-bearer-token": _signature_mode,
}


def _capability_guard(flags: AuthFlags) -> Guard:
    if flags.token_sha256 is not None:
        expected = bytes.fromhex(flags.token_sha256.strip())
    else:
        assert flags.token_file is not None
        expected = hashlib.sha256(_secret(flags.token_file)).digest()

    def check(token: str) -> str | None:
        given = hashlib.sha256(token.encode()).digest()
        return None if hmac.compare_digest(given, expected) else INVALID

    return functools.partial(_guard, check)


def _signature_guard(flags: AuthFlags) -> Guard:
    assert flags.secret_file is not None
    secret = _secret(flags.secret_file)
    if len(secret) < MIN_SECRET:
        raise StartupError(f"signed websocket bearer secret {flags.secret_file} must be at least {MIN_SECRET} bytes")

    def check(token: str) -> str | None:
        claims = _verified_claims(token, secret)
        return INVALID_JWT if claims is None else _refused_claim(claims, flags, int(time.time()))

    return functools.partial(_guard, check)


def _guard(check: Callable[[str], str | None], authorization: str | None) -> str | None:
    """The reason to refuse a request with this Authorization header, given the check of a bearer token."""
    if authorization is None:
        return MISSING
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not (token := token.strip()):
        return NO_BEARER
    return check(token)


def _verified_claims(token: str, secret: bytes) -> dict[str, Any] | None:
    """The claims of a token signed with HS256 and our secret, None for any other token."""
    import jwt
    from jwt.types import Options

    # Times and names are checked below: the library's rules differ by the second at which a token ends.
    unchecked = Options(
        verify_exp=False,
        verify_nbf=False,
        verify_iat=False,
        verify_aud=False,
        verify_iss=False,
        verify_sub=False,
        verify_jti=False,
    )
    try:
        claims: dict[str, Any] = jwt.decode(token, secret, algorithms=["HS256"], options=unchecked)
    except jwt.InvalidTokenError:
        return None
    return claims


def _refused_claim(claims: dict[str, Any], flags: AuthFlags, now: int) -> str | None:
    skew = DEFAULT_SKEW if flags.max_skew is None else flags.max_skew
    ends, begins, audience = claims.get("exp"), claims.get("nbf"), claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not _is_time(ends) or not (begins is None or _is_time(begins)):
        return INVALID_JWT
    if ends + skew < now:
        return "expired websocket jwt"
    if begins is not None and begins - skew > now:
        return "websocket jwt is not valid yet"
    if flags.issuer is not None and claims.get("iss") != flags.issuer:
        return "websocket jwt issuer mismatch"
    if flags.audience is not None and flags.audience not in audiences:
        return "websocket jwt audience mismatch"
    return None


def _is_time(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _secret(path: Path) -> bytes:
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else str(error)
        raise StartupError(f"failed to read websocket auth secret {path}: {reason}") from None
    if not secret:
        raise StartupError(f"websocket auth secret {path} must not be empty")
    return secret.encode()
