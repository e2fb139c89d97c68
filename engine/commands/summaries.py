"""What one command of plain words does, as far as clients are told: reads a file, lists files, searches, or unknown.

A table from program to reader of its arguments, with the reference's view of which options take a value (observed on
the reference; the vectors of the tests are its answers).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from projections.quoting import join
from rollouts import events as ev

Words = Sequence[str]

_HIDDEN_FOLDERS = frozenset({"", "build", "dist", "node_modules", "src"})
_FILE_WALKS = ("os.walk", "os.listdir", "os.scandir", "glob.glob", "glob.iglob", "pathlib.Path", ".rglob(")


def summarize(words: Words) -> ev.ParsedCommand:
    """The summary of a command; its `cmd` is the command, quoted."""
    head, tail = words[0], words[1:]
    reader = _READERS.get(head) or (_python if _is_python(head) else _unknown)
    return reader(join(words), tail)


def short_path(path: str) -> str:
    """The part of a path that says most: its last component that is no `src`, `build`, `dist` or `node_modules`."""
    trimmed = path.replace("\\", "/").rstrip("/")
    return next((part for part in reversed(trimmed.split("/")) if part not in _HIDDEN_FOLDERS), trimmed)


def sed_range(word: str | None) -> bool:
    """Is this a `sed` script that prints lines by number, such as `5p` or `1,5p`?"""
    if word is None or not word.endswith("p"):
        return False
    numbers = word[:-1].split(",")
    return len(numbers) <= 2 and all(number.isascii() and number.isdigit() for number in numbers)


def sed_file(args: Words) -> str | None:
    """The file of `sed -n RANGE FILE`, None for other uses."""
    if "-n" not in args:
        return None
    scripts = [args[i + 1] for i in range(len(args) - 1) if args[i] in ("-e", "--expression")]
    if not any(sed_range(word) for word in (*scripts, *(arg for arg in args if not arg.startswith("-")))):
        return None
    operands = _operands(args, ("-e", "-f", "--expression", "--file"))
    return _get(operands, 1 if operands and sed_range(operands[0]) else 0)


def awk_file(args: Words) -> str | None:
    """The first data file of `awk`, None when it reads its input."""
    operands = _operands(args, ("-F", "-v", "-f", "--field-separator", "--assign", "--file"))
    return _get(operands, 0 if "-f" in args or "--file" in args else 1)


def _operands(args: Words, with_value: Words = ()) -> list[str]:
    """Arguments that are no options; after `--` those too that look like one, unless the caller drops them."""
    found: list[str] = []
    values = iter(args)
    for arg in values:
        if arg == "--":
            return [*found, *(rest for rest in values if not rest.startswith("-"))]
        if arg in with_value:
            next(values, None)
        elif not arg.startswith("-"):
            found.append(arg)
    return found


def _positional(args: Words, with_value: Words = ()) -> list[str]:
    """The same, but after `--` everything counts."""
    cut = args.index("--") if "--" in args else len(args)
    return [*_operands(args[:cut], with_value), *args[cut + 1 :]]


def _get(found: Sequence[str], index: int) -> str | None:
    return found[index] if index < len(found) else None


def _shorten(path: str | None) -> str | None:
    return None if path is None else short_path(path)


def _unknown(cmd: str, args: Words) -> ev.ParsedCommand:
    return ev.ParsedUnknown(cmd)


def _read_or_unknown(cmd: str, path: str | None) -> ev.ParsedCommand:
    return ev.ParsedUnknown(cmd) if path is None else ev.ParsedRead(cmd, short_path(path), path)


def _search_or_list(cmd: str, query: str | None, path: str | None) -> ev.ParsedCommand:
    if query is None:
        return ev.ParsedListFiles(cmd, _shorten(path))
    return ev.ParsedSearch(cmd, query, _shorten(path))


def _lists(*with_value: str) -> Callable[[str, Words], ev.ParsedCommand]:
    return lambda cmd, args: ev.ParsedListFiles(cmd, _shorten(_get(_positional(args, with_value), 0)))


def _reads(*with_value: str) -> Callable[[str, Words], ev.ParsedCommand]:
    """A program that shows its one file."""

    def read(cmd: str, args: Words) -> ev.ParsedCommand:
        operands = _positional(args, with_value)
        return _read_or_unknown(cmd, operands[0] if len(operands) == 1 else None)

    return read


def _searches(*with_value: str) -> Callable[[str, Words], ev.ParsedCommand]:
    """A program called with a pattern and then places."""

    def search(cmd: str, args: Words) -> ev.ParsedCommand:
        operands = _operands(args, with_value)
        return ev.ParsedSearch(cmd, _get(operands, 0), _shorten(_get(operands, 1)))

    return search


def _rg(cmd: str, args: Words) -> ev.ParsedCommand:
    with_value = (
        *("-g", "--glob", "--iglob", "-t", "--type", "--type-add", "--type-not", "-m", "--max-count"),
        *("-A", "-B", "-C", "--context", "--max-depth"),
    )
    if "--files" in args:
        return ev.ParsedListFiles(cmd, _shorten(_get(_operands(args, with_value), 0)))
    return _searches(*with_value)(cmd, args)


def _grep(cmd: str, args: Words) -> ev.ParsedCommand:
    with_value = ("-m", "--max-count", "-C", "--context", "-A", "--after-context", "-B", "--before-context")
    patterns = ("-e", "--regexp", "-f", "--file")
    cut = args.index("--") if "--" in args else len(args)
    given = next((args[i + 1] for i in range(cut - 1) if args[i] in patterns), None)
    operands = _positional(args, (*with_value, *patterns))
    if given is None:
        return ev.ParsedSearch(cmd, _get(operands, 0), _shorten(_get(operands, 1)))
    return ev.ParsedSearch(cmd, given, _shorten(_get(operands, 0)))


def _git(cmd: str, args: Words) -> ev.ParsedCommand:
    if args and args[0] == "grep":
        return _grep(cmd, args[1:])
    if args and args[0] == "ls-files":
        return _lists("--exclude", "--exclude-from", "--pathspec-from-file")(cmd, args[1:])
    return ev.ParsedUnknown(cmd)


def _fd(cmd: str, args: Words) -> ev.ParsedCommand:
    operands = _operands(args, ("-t", "--type", "-e", "--extension", "-E", "--exclude", "--search-path"))
    if len(operands) == 1 and _looks_like_path(operands[0]):
        return ev.ParsedListFiles(cmd, short_path(operands[0]))
    return _search_or_list(cmd, _get(operands, 0), _get(operands, 1))


def _looks_like_path(word: str) -> bool:
    return word in (".", "..") or "/" in word or "\\" in word


def _find(cmd: str, args: Words) -> ev.ParsedCommand:
    path = next((arg for arg in args if not arg.startswith("-") and arg not in ("!", "(", ")")), None)
    tests = ("-name", "-iname", "-path", "-regex")
    query = next((args[i + 1] for i in range(len(args) - 1) if args[i] in tests), None)
    return _search_or_list(cmd, query, path)


def _head(cmd: str, args: Words) -> ev.ParsedCommand:
    return _read_or_unknown(cmd, _counted_file(args, str.isdigit))


def _tail(cmd: str, args: Words) -> ev.ParsedCommand:
    return _read_or_unknown(cmd, _counted_file(args, lambda count: count.removeprefix("+").isdigit()))


def _counted_file(args: Words, counts: Callable[[str], bool]) -> str | None:
    """The file of `head` or `tail`, when they are called with nothing but a number of lines."""
    if len(args) == 1 and not args[0].startswith("-"):
        return args[0]
    if len(args) > 1 and args[0] == "-n" and counts(args[1]):
        return next((arg for arg in args[2:] if not arg.startswith("-")), None)
    if args and args[0].startswith("-n") and counts(args[0][2:]):
        return next((arg for arg in args[1:] if not arg.startswith("-")), None)
    return None


def _nl(cmd: str, args: Words) -> ev.ParsedCommand:
    return _read_or_unknown(cmd, _get(_operands(args, ("-s", "-w", "-v", "-i", "-b")), 0))


def _is_python(head: str) -> bool:
    return head in ("python", "python2", "python3") or head.startswith(("python2.", "python3."))


def _python(cmd: str, args: Words) -> ev.ParsedCommand:
    script = next((args[i + 1] for i in range(len(args) - 1) if args[i] == "-c"), "")
    walks = any(call in script for call in _FILE_WALKS)
    return ev.ParsedListFiles(cmd, None) if walks else ev.ParsedUnknown(cmd)


_BAT = _reads("--theme", "--language", "--style", "--terminal-width", "--tabs", "--line-range", "--map-syntax")
_EZA = _lists("-I", "--ignore-glob", "--color", "--sort", "--time-style", "--time")
_AG = _searches("-G", "-g", "--file-search-regex", "--ignore-dir", "--ignore-file", "--path-to-ignore")

_READERS: Mapping[str, Callable[[str, Words], ev.ParsedCommand]] = {
    "ls": _lists("-I", "-w", "--block-size", "--format", "--time-style", "--color", "--quoting-style"),
    "eza": _EZA,
    "exa": _EZA,
    "tree": _lists("-L", "-P", "-I", "--charset", "--filelimit", "--sort"),
    "du": _lists("-d", "--max-depth", "-B", "--block-size", "--exclude", "--time-style"),
    "rg": _rg,
    "rga": _rg,
    "ripgrep-all": _rg,
    "git": _git,
    "fd": _fd,
    "find": _find,
    "grep": _grep,
    "egrep": _grep,
    "fgrep": _grep,
    "ag": _AG,
    "ack": _AG,
    "pt": _AG,
    "cat": _reads(),
    "bat": _BAT,
    "batcat": _BAT,
    "less": _reads("-p", "-P", "-x", "-y", "-z", "-j", "--pattern", "--prompt", "--tabs", "--shift", "--jump-target"),
    "more": _reads(),
    "head": _head,
    "tail": _tail,
    "awk": lambda cmd, args: _read_or_unknown(cmd, awk_file(args)),
    "nl": _nl,
    "sed": lambda cmd, args: _read_or_unknown(cmd, sed_file(args)),
}
