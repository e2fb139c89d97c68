"""Which shell runs a command line, when the model names one."""

from __future__ import annotations

import os.path
import shutil

LAST_RESORT = "/bin/sh"
_FALLBACKS = {"bash": ("/bin/bash",), "zsh": ("/bin/zsh",), "sh": (LAST_RESORT,)}


def resolve_shell(wanted: str | None, users: str) -> str:
    """Path of the shell to use: the wanted one, else the nearest of its kind, else `/bin/sh` (observed).

    :param wanted: a name or path; None for the user's shell.
    :param users: path of the user's shell.
    """
    if wanted is None:
        return users
    kind = os.path.splitext(os.path.basename(wanted))[0]
    if kind not in _FALLBACKS:
        return LAST_RESORT
    if os.path.isfile(wanted):
        return wanted
    if os.path.basename(users) == kind and os.path.isfile(users):
        return users
    found = (shutil.which(kind), *_FALLBACKS[kind])
    return next((path for path in found if path and os.path.isfile(path)), LAST_RESORT)
