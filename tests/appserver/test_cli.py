"""The command line: flags in any order, refusals and exit codes of the reference."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engine.cli import main
from tests.appserver.processes import HELLO, run

SERVER = "app-server"
DIGEST = "0" * 64


def refuse(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    """Exit code and stderr of a command line that must not start a server."""
    with pytest.raises(SystemExit) as ended:
        main(args, (lambda home, overrides: pytest.fail("a server was started"), {}))
    code = ended.value.code
    assert isinstance(code, int)
    return code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    return tmp_path


NO_MODE = "websocket auth flags require `--ws-auth capability-token` or `--ws-auth signed-bearer-token`"
OTHER_MODE = (
    "`--ws-shared-secret-file`, `--ws-issuer`, `--ws-audience`, and `--ws-max-clock-skew-seconds` "
    "require `--ws-auth signed-bearer-token`"
)
WS = ("--listen", "ws://127.0.0.1:0")
TOKEN = ("--ws-auth", "capability-token")
SIGNED = ("--ws-auth", "signed-bearer-token")

CANNOT_START = [
    (("--ws-token-file", "/x"), NO_MODE),
    (("--ws-issuer", "i"), NO_MODE),
    (("--ws-max-clock-skew-seconds", "0"), NO_MODE),
    (TOKEN, "`--ws-token-file` or `--ws-token-sha256` is required when `--ws-auth capability-token` is set"),
    (
        (*TOKEN, "--ws-token-file", "/x", "--ws-token-sha256", "ab"),
        "`--ws-token-file` and `--ws-token-sha256` are mutually exclusive",
    ),
    ((*TOKEN, "--ws-token-sha256", "abc"), "--ws-token-sha256 must be a 64-character hex SHA-256 digest"),
    ((*TOKEN, "--ws-token-sha256", "z" * 64), "--ws-token-sha256 must be a 64-character hex SHA-256 digest"),
    ((*TOKEN, "--ws-token-file", "/x", "--ws-audience", "a"), OTHER_MODE),
    (SIGNED, "`--ws-shared-secret-file` is required when `--ws-auth signed-bearer-token` is set"),
    (
        (*SIGNED, "--ws-token-sha256", DIGEST),
        "`--ws-token-file` and `--ws-token-sha256` require `--ws-auth capability-token`, not `signed-bearer-token`",
    ),
    (
        (*WS, *TOKEN, "--ws-token-file", "/nope"),
        "failed to read websocket auth secret /nope: No such file or directory (os error 2)",
    ),
    (("--listen", "off"), "no transport configured; use --listen or enable remote control"),
    (("-c", "bad"), "error parsing -c overrides: Invalid override (missing '='): bad"),
    (("-c", "profile=p"), "error loading default config after config error: config profile `p` not found"),
    (("--enable", "nope"), "Unknown feature flag: nope"),
    (("--disable", "nope"), "Unknown feature flag: nope"),
    (("proxy", "--sock", "/nope/x.sock"), "failed to connect to socket at /nope/x.sock"),
]


@pytest.mark.parametrize(("args", "text"), CANNOT_START, ids=lambda x: " ".join(x) if isinstance(x, tuple) else "")
def test_a_server_that_cannot_start_says_why_and_exits_1(
    args: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(capsys, SERVER, *args) == (1, f"Error: {text}\n")


def test_secrets_that_are_empty_or_short(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = home / "secret"
    secret.write_text(" \n")
    code, text = refuse(capsys, SERVER, *WS, *TOKEN, "--ws-token-file", str(secret))
    assert (code, text) == (1, f"Error: websocket auth secret {secret} must not be empty\n")
    monkeypatch.chdir(home)
    assert refuse(capsys, SERVER, *WS, *TOKEN, "--ws-token-file", "secret") == (1, text)
    secret.write_text("x" * 31 + "\n")
    code, text = refuse(capsys, SERVER, *WS, *SIGNED, "--ws-shared-secret-file", str(secret))
    assert (code, text) == (1, f"Error: signed websocket bearer secret {secret} must be at least 32 bytes\n")


def test_a_current_folder_that_was_deleted(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "gone").mkdir()
    monkeypatch.chdir(home / "gone")
    (home / "gone").rmdir()
    text = "Error: the current folder cannot be used: No such file or directory (os error 2)\n"
    assert refuse(capsys, SERVER) == (1, text)


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("HOME", "/dev/null", "/dev/null/.codex: Not a directory (os error 20)"),
        ("CODEX_HOME", "x" * 300, f"{'x' * 300}: File name too long (os error 36)"),
    ],
)
def test_a_home_that_cannot_be_made_or_looked_at(
    variable: str, value: str, reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CODEX_HOME")
    monkeypatch.setenv(variable, value)
    text = f"Error: no home for the sessions, set CODEX_HOME: {reason}\n"
    assert refuse(capsys, SERVER) == (1, text)


URLS = "expected `stdio://`, `unix://`, `unix://PATH`, `ws://IP:PORT`, or `off`"

WRONG_LINE = [
    (("--stdio",), "unrecognized arguments: --stdio"),
    (("--listen", "foo"), f"unsupported --listen URL `foo`; {URLS}"),
    (("--listen", ""), f"unsupported --listen URL ``; {URLS}"),
    (("--listen", "http://x"), f"unsupported --listen URL `http://x`; {URLS}"),
    (("--listen", "ws://localhost:1"), "invalid websocket --listen URL `ws://localhost:1`; expected `ws://IP:PORT`"),
    (("--listen", "ws://127.0.0.1"), "invalid websocket --listen URL `ws://127.0.0.1`; expected `ws://IP:PORT`"),
    (("--listen", "ws://127.0.0.1:65536"), "expected `ws://IP:PORT`"),
    (("--listen", "ws://::1:80"), "expected `ws://IP:PORT`"),
    (("--listen",), "expected one argument"),
    (("--listen", "off", "--listen", "off"), "argument --listen: cannot be used multiple times"),
    ((*TOKEN, "--ws-token-file", "/x", *TOKEN), "argument --ws-auth: cannot be used multiple times"),
    (("--ws-auth", "foo"), "invalid choice: 'foo'"),
    (("--ws-max-clock-skew-seconds", "-1"), "--ws-max-clock-skew-seconds"),
    (("--ws-max-clock-skew-seconds", str(1 << 64)), "is no number of seconds"),
    (("--list=stdio://",), "unrecognized arguments"),
]


@pytest.mark.parametrize(("args", "text"), WRONG_LINE, ids=lambda x: " ".join(x) if isinstance(x, tuple) else "")
def test_a_wrong_command_line_exits_2(args: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = refuse(capsys, SERVER, *args)
    assert code == 2
    assert text in told


def test_a_home_that_is_none(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for path, fault in ((home / "nope", "does not exist"), (home / "file", "is not a directory")):
        (home / "file").touch()
        monkeypatch.setenv("CODEX_HOME", str(path))
        expected = f'Error: CODEX_HOME points to "{path}", but that path {fault}\n'
        assert refuse(capsys, SERVER) == (1, expected)


ORDERS = [
    ("-c", 'model="o3"', "app-server", "--enable", "apps", "--listen", "stdio://", "-c", "a.b=[1]"),
    ("app-server", "--listen=stdio://", "--config", "a.b=[1]", "-c", "model=o3", "--enable", "apps"),
    ("--config", "model=gpt", "--enable=apps", "app-server", "-cmodel=o3", "-c", "a.b=[1]", "--listen", "stdio://"),
]


@pytest.mark.parametrize("args", ORDERS, ids=" ".join)
def test_flags_in_any_order_before_and_after_the_command(args: tuple[str, ...], home: Path) -> None:
    done = run(home, *args, stdin=json.dumps(HELLO).encode())
    answer = json.loads(done.stdout)
    overrides = answer["result"]["userAgent"].split("(overrides ")[1].split(")")[0]
    assert json.loads(overrides) == {"model": "o3", "a.b": [1], "features.apps": True}


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert "0.125.0" in capsys.readouterr().out
    assert refuse(capsys)[0] == 2
    with pytest.raises(SystemExit) as ended:
        main([SERVER, "--help"])
    assert ended.value.code == 0


def test_nothing_heavy_is_imported_for_a_refusal(home: Path) -> None:
    code = (
        "import sys; from engine import cli; print([m for m in ('anyio', 'websockets', 'httpx2') if m in sys.modules])"
    )
    import subprocess

    assert subprocess.check_output([sys.executable, "-c", code]) == b"[]\n"
