"""How the engine names itself to clients and to model providers."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping

from engine.headers import header_value

#: The version of the reference whose protocol and files we keep; clients parse it out of the user agent.
VERSION = "0.125.0"


def user_agent(originator: str, client_name: str, client_version: str, env: Mapping[str, str]) -> str:
    """`NAME/VERSION (OS VERSION; ARCH) TERMINAL (CLIENT; CLIENT VERSION)`, as the reference writes it.

    What cannot stand in an HTTP header costs the whole text its characters outside of ASCII.

    :param originator: name of the first client of this process.
    """
    system, release = _system()
    client = f"{client_name}; {client_version}".strip()
    text = f"{originator}/{VERSION} ({system} {release}; {platform.machine()}) {_terminal(env)} ({client})"
    return text if header_value(text) else re.sub(r"[^ -~]", "_", text)


def _system() -> tuple[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return platform.system(), platform.release()
    return release["NAME"].split(" ")[0], three_parts(release.get("VERSION_ID", "unknown"))


def three_parts(version: str) -> str:
    """A version of up to three numbers with all three as the reference says it (`12` is `12.0.0`), others as given."""
    parts = version.split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        return version
    return ".".join(str(int(part)) for part in [*parts, "0", "0"][:3])


def _terminal(env: Mapping[str, str]) -> str:
    if program := env.get("TERM_PROGRAM"):
        version = env.get("TERM_PROGRAM_VERSION")
        return f"{program}/{version}" if version else program
    return env.get("TERM") or "unknown"
