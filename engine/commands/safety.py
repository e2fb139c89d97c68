"""Which commands are known to do no harm, and which are known to be dangerous.

Pure. Under the approval policy `untrusted` a known-safe command runs without a question, so the lists name programs
and options that only read. They are the reference's (observed, see the tests), made stricter where its rule can be
walked around: programs outside the system's folders, abbreviated options, options that a pattern may turn into, the
output file of `uniq`, pagers.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping, Sequence

from engine.commands.summaries import sed_range
from engine.commands.words import plain_commands, script_of

Words = Sequence[str]

_READERS = frozenset(
    [
        *("cat", "cd", "cut", "echo", "expr", "false", "grep", "head", "id", "ls", "nl", "paste", "pwd", "rev"),
        *("seq", "stat", "tail", "tr", "true", "uname", "wc", "which", "whoami", "numfmt", "tac"),
    ]
)
_SYSTEM_FOLDERS = frozenset({"", "/bin", "/usr/bin", "/usr/local/bin", "/sbin", "/usr/sbin"})

_FIND_ACTS = frozenset(
    ["-exec", "-execdir", "-ok", "-okdir", "-delete", "-fls", "-fprint", "-fprint0", "-fprintf", "-files0-from"]
)
_GIT_READS = frozenset({"status", "log", "diff", "show", "branch"})
_GIT_VALUES = ("-C", "-c", "--config-env", "--exec-path", "--git-dir", "--namespace", "--super-prefix", "--work-tree")
_GIT_REDIRECTS = ("--config-env", "--exec-path", "--git-dir", "--namespace", "--super-prefix", "--work-tree")
_GIT_WRITES = ("--output", "--ext-diff", "--textconv", "--exec", "--paginate")
_BRANCH_LISTS = frozenset(
    ["--list", "-l", "--show-current", "-a", "--all", "-r", "--remotes", "-v", "-vv", "--verbose"]
)


def is_known_safe(argv: Words) -> bool:
    """Does this command certainly only read? A script is safe when it is plain and all its commands are."""
    if not argv:
        return False
    script = script_of(argv)
    if script is None:
        return _safe(argv, may_expand=False)
    commands = plain_commands(script)
    return commands is not None and all(
        _safe(command.words, may_expand=command.opens_with_pattern) for command in commands
    )


def might_be_dangerous(argv: Words) -> bool:
    """Does this command, or one of its plain script, remove files without asking?"""
    script = script_of(argv)
    commands = plain_commands(script) if script is not None else None
    return any(_dangerous(words) for words in ([argv] if commands is None else [each.words for each in commands]))


def _safe(words: Words, *, may_expand: bool) -> bool:
    if script_of(words) is not None:
        return is_known_safe(words)
    folder, name = os.path.split(words[0])
    if folder not in _SYSTEM_FOLDERS:
        return False
    if name in _READERS:
        return True
    check = _CHECKS.get(name)
    return check is not None and not may_expand and check(words[1:])


def _dangerous(words: Words) -> bool:
    match list(words):
        case ["sudo", *rest]:
            return _dangerous(rest)
        case ["rm", "-f" | "-rf", *_]:
            return True
    return False


def _base64(args: Words) -> bool:
    return not any(_abbreviates(arg, ("--output",)) or _among_short(arg, "o") for arg in args)


def _find(args: Words) -> bool:
    return not any(arg in _FIND_ACTS for arg in args)


def _rg(args: Words) -> bool:
    options = ("--pre", "--hostname-bin", "--search-zip")
    return not any(arg.split("=")[0] in options or _among_short(arg, "z") for arg in args)


def _sed(args: Words) -> bool:
    return 2 <= len(args) <= 3 and args[0] == "-n" and sed_range(args[1])


def _uniq(args: Words) -> bool:
    """The second operand is a file that is written."""
    return all(arg.startswith("-") for arg in args[:-1])


def _git(args: Words) -> bool:
    words = list(args)
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option in ("-p", "-c") or (option.startswith("-c") and not option.startswith("--")):
            return False
        if _abbreviates(option, (*_GIT_REDIRECTS, "--paginate")):
            return False
        if option in _GIT_VALUES:
            words = words[1:]
    if not words or words[0] not in _GIT_READS:
        return False
    rest = words[1:]
    return not any(_abbreviates(arg, _GIT_WRITES) for arg in rest) and (words[0] != "branch" or _lists_branches(rest))


def _lists_branches(args: Words) -> bool:
    return all(arg in _BRANCH_LISTS or arg.startswith("--format=") for arg in args)


def _abbreviates(arg: str, options: Words) -> bool:
    """Is this one of these long options, perhaps with a value, perhaps cut short as programs allow?"""
    name = arg.split("=")[0]
    return len(name) > 2 and name.startswith("--") and any(option.startswith(name) for option in options)


def _among_short(arg: str, letter: str) -> bool:
    """Is this a group of short options with this one among them?"""
    return arg.startswith("-") and not arg.startswith("--") and letter in arg


_CHECKS: Mapping[str, Callable[[Words], bool]] = {
    "base64": _base64,
    "find": _find,
    "git": _git,
    "rg": _rg,
    "sed": _sed,
    "uniq": _uniq,
}
