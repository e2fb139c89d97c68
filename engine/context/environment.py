"""The surroundings the model is told about besides the settings: date, time zone, shell."""

from __future__ import annotations

import os
import pwd
from pathlib import PurePath

import msgspec

from engine.clock import Clock, local_date


class Environment(msgspec.Struct, frozen=True):
    """`current_date` is `YYYY-MM-DD` in `timezone`, an IANA name; `shell` is the name of the user's shell."""

    current_date: str
    timezone: str
    shell: str


def observe(clock: Clock) -> Environment:
    """The surroundings now."""
    zone = clock.zone()
    return Environment(local_date(clock.now(), zone), zone, PurePath(user_shell()).name)


def user_shell() -> str:
    """Path of the user's shell: of the account, else `$SHELL`, else `/bin/sh`."""
    try:
        account = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        account = ""
    return account or os.environ.get("SHELL") or "/bin/sh"


def environment_text(environment: Environment, cwd: str | None) -> str:
    """The `<environment_context>` part; without a cwd when that one is known already."""
    lines = [
        *([f"  <cwd>{cwd}</cwd>"] if cwd is not None else []),
        f"  <shell>{environment.shell}</shell>",
        f"  <current_date>{environment.current_date}</current_date>",
        f"  <timezone>{environment.timezone}</timezone>",
    ]
    return "\n".join(["<environment_context>", *lines, "</environment_context>"])
