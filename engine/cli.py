"""The command line: `rollout-engine app-server` and what goes with it.

Flags and their refusals are those of the reference, so that clients which start a server by path can start this one:
exit code 2 for a wrong command line, 1 for a server that cannot start, texts on stderr. Everything heavy is imported
once it is known to be needed.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from engine.errors import EngineError, StartupError, os_reason
from engine.identity import VERSION

if TYPE_CHECKING:
    from engine.appserver.dispatch import Handler
    from engine.appserver.server import HostFactory, Listener
    from engine.appserver.transports.auth import AuthFlags

    #: The engine of a home (CODEX_HOME) with the overrides of the command line (dotted key -> value), and what
    #: it serves.
    Embedded = tuple[Callable[[Path, Mapping[str, object]], HostFactory], Mapping[str, Handler]]


def main(argv: Sequence[str] | None = None, engine: Embedded | None = None) -> NoReturn:
    """Run the command line and exit.

    :param engine: another engine than the real one, for tests of everything around it.
    """
    args = _parser().parse_args(argv)
    if args.run is None:
        _parser().print_help(sys.stderr)
        sys.exit(2)
    try:
        args.run(args, engine)
    except* EngineError as group:
        print(f"Error: {_first(group)}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _first(group: BaseExceptionGroup[EngineError]) -> EngineError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def _app_server(args: argparse.Namespace, engine: Embedded | None) -> None:
    from engine.appserver.transports.auth import AuthFlags, check_flags

    flags = AuthFlags(
        mode=args.ws_auth,
        token_file=args.ws_token_file,
        token_sha256=args.ws_token_sha256,
        secret_file=args.ws_shared_secret_file,
        issuer=args.ws_issuer,
        audience=args.ws_audience,
        max_skew=args.ws_max_clock_skew_seconds,
    )
    check_flags(flags)
    _check_folder()
    overrides = _overrides(args)
    _restore_locale()
    folder = _home()
    _check(overrides, folder)
    listener = _listener(args.listen, flags, folder)
    open_host, handlers = engine or _real_engine()
    _serve(open_host(folder, overrides), listener, handlers)


def _check_folder() -> None:
    """Relative paths start in the process's folder, which somebody may have deleted."""
    try:
        os.getcwd()
    except OSError as error:
        raise StartupError(f"the current folder cannot be used: {os_reason(error)}") from None


def _restore_locale() -> None:
    """Take back what the interpreter puts into the environment of a C locale (PEP 538): commands inherit it."""
    given = Path("/proc/self/environ").read_bytes().split(b"\0")
    if not any(entry.startswith(b"LC_CTYPE=") for entry in given):
        os.environ.pop("LC_CTYPE", None)


def _serve(factory: HostFactory, listener: Listener, handlers: Mapping[str, Handler]) -> None:
    import anyio

    from engine.appserver import server
    from engine.appserver.handlers import methods

    anyio.run(server.run, factory, listener, methods(handlers))


def _real_engine() -> Embedded:
    from engine.appserver.handlers import all_handlers
    from engine.host import open_host

    return open_host, all_handlers()


def _proxy(args: argparse.Namespace, engine: Embedded | None) -> None:
    from engine.appserver.transports.control import default_path, proxy

    proxy(args.sock or default_path(_home()))


def _home() -> Path:
    """CODEX_HOME, by default `~/.codex`, which is made when missing."""
    given = os.environ.get("CODEX_HOME")
    try:
        path = Path(given) if given else Path.home() / ".codex"
        if not given:
            path.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            raise StartupError(f'CODEX_HOME points to "{given}", but that path does not exist')
        if not path.is_dir():
            raise StartupError(f'CODEX_HOME points to "{given}", but that path is not a directory')
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a user without a home is a RuntimeError
        reason = f"{error.filename}: {os_reason(error)}" if isinstance(error, OSError) else str(error)
        raise StartupError(f"no home for the sessions, set CODEX_HOME: {reason}") from None


def _listener(url: str, flags: AuthFlags, folder: Path) -> Listener:
    """The transport of a checked `--listen` value, bound to its address."""
    if url == "stdio://":
        from engine.appserver.transports.stdio import Stdio

        return Stdio()
    if url == "off":
        raise StartupError("no transport configured; use --listen or enable remote control")
    if url.startswith("unix://"):
        from engine.appserver.transports.control import default_path
        from engine.appserver.transports.unix import UnixSocket

        path = url.removeprefix("unix://")
        return UnixSocket(Path(path).absolute() if path else default_path(folder))
    from engine.appserver.transports.auth import make_guard
    from engine.appserver.transports.websocket import Websocket

    return Websocket(*_host_and_port(url), make_guard(flags))


def _host_and_port(url: str) -> tuple[str, int]:
    """The address of `ws://IP:PORT`.

    :raises ValueError: when it is no such URL.
    """
    host, _, port = url.removeprefix("ws://").rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        address: object = ipaddress.IPv6Address(host[1:-1])
    else:
        address = ipaddress.IPv4Address(host)
    if not (port.isascii() and port.isdigit() and int(port) < 2**16):
        raise ValueError(f"no port: {port}")
    return str(address), int(port)


def _listen_url(url: str) -> str:
    if url.startswith("ws://"):
        try:
            _host_and_port(url)
        except ValueError:
            text = f"invalid websocket --listen URL `{url}`; expected `ws://IP:PORT`"
            raise argparse.ArgumentTypeError(text) from None
    elif url not in ("stdio://", "off") and not url.startswith("unix://"):
        forms = "`stdio://`, `unix://`, `unix://PATH`, `ws://IP:PORT`, or `off`"
        raise argparse.ArgumentTypeError(f"unsupported --listen URL `{url}`; expected {forms}")
    return url


def _overrides(args: argparse.Namespace) -> dict[str, object]:
    """Dotted keys of `-c`, `--enable` and `--disable`, wherever on the line they stand; later ones win."""
    flags = [*(args.flags_before or ()), *(args.flags or ())]
    if not flags:
        return {}
    from engine.config import ALIASES, FEATURES, ConfigError, parse_flag

    overrides: dict[str, object] = {}
    for kind, text in sorted(flags, key=lambda flag: flag[0] != "config"):
        if kind == "config":
            try:
                key, value = parse_flag(text)
            except ConfigError as error:
                raise StartupError(f"error parsing -c overrides: {error}") from None
            overrides[key] = value
        elif text not in FEATURES and text not in ALIASES:
            raise StartupError(f"Unknown feature flag: {text}")
        else:
            overrides[f"features.{text}"] = kind == "enable"
    return overrides


def _check(overrides: Mapping[str, object], folder: Path) -> None:
    """Refuse flags that work neither with the files nor without them; clients are told of files that do not work."""
    if not overrides:
        return
    from engine.config import ConfigError, load_or_default

    try:
        load_or_default(folder, overrides, Path.cwd())
    except ConfigError as error:
        raise StartupError(f"error loading default config after config error: {error}") from None


class _Flag(argparse.Action):
    """Collects (name of the flag, value) in the order of the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        name = self.option_strings[-1].removeprefix("--")
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or ()), (name, str(values))])


class _Once(argparse.Action):
    """Keeps the value of a flag that may be given once: which of two counts would be a guess."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        given = vars(namespace).setdefault("given", set())
        if self.dest in given:
            raise argparse.ArgumentError(self, "cannot be used multiple times")
        given.add(self.dest)
        setattr(namespace, self.dest, values)


def _parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="rollout-engine", allow_abbrev=False)
    root.add_argument("--version", "-V", action="version", version=f"rollout-engine (codex-cli {VERSION})")
    root.set_defaults(run=None)
    _add_config_flags(root, "flags_before")
    commands = root.add_subparsers(title="commands", metavar="COMMAND")

    server = commands.add_parser("app-server", help="serve app-server clients", allow_abbrev=False)
    server.set_defaults(run=_app_server)
    server.register("action", None, _Once)
    _add_config_flags(server, "flags")
    server.add_argument(
        "--listen",
        metavar="URL",
        type=_listen_url,
        default="stdio://",
        help="stdio:// (default), unix://, unix://PATH, ws://IP:PORT or off",
    )
    server.add_argument("--analytics-default-enabled", action="store_true", help=argparse.SUPPRESS)
    _add_auth_flags(server)

    more = server.add_subparsers(title="commands", metavar="COMMAND")
    join = more.add_parser("proxy", help="join stdio to a server's control socket", allow_abbrev=False)
    join.add_argument("--sock", metavar="PATH", type=Path, help="the socket (default: that of CODEX_HOME)")
    join.set_defaults(run=_proxy)
    return root


def _add_config_flags(parser: argparse.ArgumentParser, dest: str) -> None:
    flags = (
        (("-c", "--config"), "KEY=VALUE", "override a configuration value; VALUE is TOML or plain text"),
        (("--enable",), "FEATURE", "the same as -c features.FEATURE=true"),
        (("--disable",), "FEATURE", "the same as -c features.FEATURE=false"),
    )
    for names, metavar, text in flags:
        parser.add_argument(*names, action=_Flag, dest=dest, metavar=metavar, help=text)


def _add_auth_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("websocket authentication")
    group.add_argument("--ws-auth", metavar="MODE", choices=("capability-token", "signed-bearer-token"))
    group.add_argument("--ws-token-file", metavar="PATH", type=_absolute)
    group.add_argument("--ws-token-sha256", metavar="HEX")
    group.add_argument("--ws-shared-secret-file", metavar="PATH", type=_absolute)
    group.add_argument("--ws-issuer", metavar="ISSUER")
    group.add_argument("--ws-audience", metavar="AUDIENCE")
    group.add_argument("--ws-max-clock-skew-seconds", metavar="SECONDS", type=_seconds)


def _absolute(text: str) -> Path:
    return Path(text).absolute()


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**64):
        raise argparse.ArgumentTypeError(f"`{text}` is no number of seconds")
    return int(text)
