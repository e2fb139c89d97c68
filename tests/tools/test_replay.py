"""`tools/replay` as a person runs it: the real process, and its command line in this one."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from engine.parents import anchor, joined
from rollouts.log import FileLog
from rollouts.spliced import SplicedLog
from tests.conftest import fixture_rollouts
from tests.engine.homes import answered, line, meta, place, said, thread_id, write
from tools.replay import main

ROOT = Path(__file__).parents[2]
THREE = fixture_rollouts("three_turns")[0]
TURNS = (
    "019daa8c-1568-7200-9457-d8a66eabbd94",
    "019daa8c-1651-78b2-83ca-34e2a08b99e4",
    "019daa8c-16d3-7762-931b-4bab68d2e7b3",
)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code and standard output."""

    def run(*arguments: str | Path) -> tuple[int, str]:
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        return int(done.value.code or 0), capsys.readouterr().out

    return run


def process(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(part) for part in command], capture_output=True, timeout=60, cwd=ROOT, **options)


# -- the process -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "tools.replay"],
        [sys.executable, ROOT / "tools" / "replay"],
        [ROOT / "tools" / "replay"],
    ],
    ids=["module", "script by interpreter", "script"],
)
def test_it_runs_as_module_and_as_script(command: list[str | Path]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = process(*command, THREE, env=os.environ | {"PATH": path})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"first question" in done.stdout


def test_in_a_pipe_there_are_no_colours() -> None:
    assert b"\x1b" not in process(sys.executable, "-m", "tools.replay", THREE).stdout


def test_on_a_terminal_there_are() -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}
    done = subprocess.run(
        [sys.executable, "-m", "tools.replay", THREE], stdout=theirs, cwd=ROOT, env=environment, timeout=60
    )
    assert done.returncode == 0
    assert b"\x1b[" in os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("packed", [False, True])
def test_a_dash_reads_standard_input(packed: bool, tmp_path: Path) -> None:
    given = zstandard.ZstdCompressor().compress(THREE.read_bytes()) if packed else THREE.read_bytes()
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = process(sys.executable, "-m", "tools.replay", "-", input=given, env=environment)
    assert done.stdout == process(sys.executable, "-m", "tools.replay", THREE).stdout
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_followed_is_refused_before_it_is_told() -> None:
    done = process(sys.executable, "-m", "tools.replay", "-", "--follow", input=THREE.read_bytes())
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"rollout-replay: only a plain file can be followed\n"


def test_a_reader_that_stops_reading_is_no_error(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [meta(thread_id(1)), *[said(f"message {n}") for n in range(5000)]])
    command = f"{sys.executable} -m tools.replay {path} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = process("bash", "-c", command)
    assert (done.returncode, done.stderr) == (0, b"")


def test_following_tells_what_is_appended_once_it_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [meta(thread_id(1)), said("first")])
    follower = subprocess.Popen(
        [sys.executable, "-m", "tools.replay", path, "--follow", "--json"], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert follower.stdout is not None
    texts = [json.loads(follower.stdout.readline())["text"] for _ in range(2)]
    late = answered("later")
    with path.open("ab") as out:
        out.write(late[:30])
        out.flush()
        time.sleep(0.2)
        out.write(late[30:])
    entry = json.loads(follower.stdout.readline())
    follower.send_signal(2)
    follower.wait(10)
    assert texts[1] == "first"
    assert (entry["line"], entry["kind"], entry["text"]) == (3, "agent", "later")
    assert follower.returncode == 0
    follower.stdout.close()


# -- timeline --------------------------------------------------------------------------------------


def test_the_timeline_tells_each_thing_once(run: Run) -> None:
    code, out = run(THREE)
    assert code == 0
    for text in ("first question", "First answer", "second question", "Third answer"):
        assert out.count(text) == 1
    assert out.count("turn ") == 3
    assert "30 lines, 9,114 bytes, 3 turns, 7 details left out (--all)" in out


def test_the_timeline_says_the_day_once_and_settings_when_they_change(run: Run) -> None:
    out = run(THREE)[1]
    assert out.startswith("2026-04-20\n")
    assert out.count("2026-04-20") == 1
    assert out.count("gpt-5.1-codex in /workspace/demo, approval never, sandbox danger-full-access") == 1


def test_commands_are_shown_without_their_frames_unless_in_full(run: Run) -> None:
    path = fixture_rollouts("tool_calls")[0]
    out = run(path)[1]
    assert "call       exec_command echo hello\n" in out
    assert "output     exit 2: ls: cannot access 'missing.txt'" in out
    assert "Chunk ID" not in out
    assert "Chunk ID" in run(path, "--full")[1]


def test_turns_without_an_end_and_turns_that_no_event_opens_have_headings_too(run: Run) -> None:
    out = run(fixture_rollouts("open_turn")[0])[1]
    assert out.count("this turn has no end") == 1
    lines = run(fixture_rollouts("forked_copy")[0])[1].splitlines()
    assert "what was said before the fork" in lines[2]
    assert lines[3] == "turn 1  rollout-3"
    assert lines[4].endswith("copied question")


def test_what_is_no_rollout_is_said_to_be_none(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "notes.txt", [b"buy milk\n"])
    assert run(path)[1].splitlines()[-2:] == [
        "No line says which thread this is (session_meta): is it a rollout?",
        "1 line, 9 bytes, 0 turns, 1 damaged (--check)",
    ]


def test_a_folder_is_no_rollout_and_the_message_says_what_to_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert capsys.readouterr().err == (
        f"rollout-replay: {tmp_path}: a folder; name one rollout in it, or a thread id and the folder as --home\n"
    )


def test_all_shows_the_details_too(run: Run) -> None:
    details = [line for line in run(THREE, "--all")[1].splitlines() if " context " in line]
    assert len(details) == 4


def test_texts_are_cut_to_a_line_unless_wanted_in_full(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "r.jsonl", [meta(thread_id(1)), said("one\ntwo " + "x" * 500 + " end")])
    assert "one two" in run(path)[1]
    assert "end" not in run(path)[1]
    assert "x" * 500 + " end" in run(path, "--full")[1]


def test_control_characters_of_a_log_do_not_reach_the_terminal(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "r.jsonl", [meta(thread_id(1)), said("\x1b]0;title\x07 [red]text[/red] \x9b31m")])
    for options in ([], ["--full"]):
        out = run(path, *options)[1]
        assert not any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) < 0xA0 for char in out)
        assert "[red]text[/red]" in out


@pytest.mark.parametrize("path", fixture_rollouts(), ids=lambda path: path.stem)
def test_json_has_an_entry_for_each_thing_told(path: Path, run: Run) -> None:
    code, out = run(path, "--json", "--all")
    entries = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert entries[0]["kind"] == "thread"
    assert [entry["line"] for entry in entries] == sorted({entry["line"] for entry in entries})
    lines = path.read_bytes()
    for entry in entries:
        assert lines[entry["offset"] - 1 : entry["offset"]] in (b"", b"\n")


def test_damaged_lines_are_told_with_their_place(tmp_path: Path, run: Run) -> None:
    first = meta(thread_id(1))
    path = write(tmp_path / "r.jsonl", [first, b"not json\n", said("hi")])
    assert f"damaged    at byte {len(first)}: " in run(path)[1]


# -- which rollout ---------------------------------------------------------------------------------


def test_a_compressed_rollout_tells_the_same(tmp_path: Path, run: Run) -> None:
    packed = tmp_path / "r.jsonl.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(THREE.read_bytes()))
    assert run(packed) == run(THREE)


def test_an_archive_is_looked_at_itself_although_its_plain_file_is_there(tmp_path: Path, run: Run) -> None:
    packed = tmp_path / "r.jsonl.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress(THREE.read_bytes()))
    write(tmp_path / "r.jsonl", [meta(thread_id(1)), said("the plain one")])
    assert run(packed) == run(THREE)
    assert "the plain one" in run(tmp_path / "r.jsonl")[1]


@pytest.mark.parametrize("archived", [False, True])
def test_a_thread_is_found_by_its_id(tmp_path: Path, run: Run, archived: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place(tmp_path, thread_id(1), archived=archived), [meta(thread_id(1)), said("found me")])
    assert "found me" in run(thread_id(1), "--home", tmp_path)[1]
    monkeypatch.setenv("CODEX_HOME", str(tmp_path))
    assert "found me" in run(thread_id(1))[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ["no such file"],
        [thread_id(99)],
        ["."],
        [str(THREE), "--until", "999"],
        [str(THREE), "--until", "no-such-turn"],
        [str(THREE), "--until", "2020-01-01"],
        [str(THREE), "--until", "2026-99-99"],
        [str(THREE), "--state", "--check"],
        [str(THREE), "--diff", "1", "2", "--until", "3"],
        [str(THREE), "--materialise", str(THREE)],
        [str(THREE), "--materialise", "/no/such/folder/file"],
        [],
        ["--martian"],
    ],
)
def test_what_cannot_be_done_ends_with_code_2(arguments: list[str], tmp_path: Path, run: Run) -> None:
    code, out = run(*arguments, "--home", tmp_path)
    assert (code, out) == (2, "")


# -- state, time travel, difference ----------------------------------------------------------------


def test_the_state_is_one_object_with_everything_folded(run: Run) -> None:
    code, out = run(THREE, "--state")
    state = json.loads(out)
    assert code == 0
    assert [turn["id"] for turn in state["turns"]] == list(TURNS)
    assert state["turns"][0]["items"][1]["text"] == "First answer"
    assert state["facts"]["usage"]["info"]["total_token_usage"]["total_tokens"] == 840
    assert [item["role"] for item in state["window"]["items"]][-2:] == ["user", "assistant"]
    assert len(run(THREE, "--state", "--json")[1].splitlines()) == 1


@pytest.mark.parametrize(
    ("point", "turns", "items"),
    [
        ("0", 0, 0),
        ("2", 1, 0),
        ("12", 1, 2),
        ("30", 3, 2),
        (TURNS[0], 1, 2),
        (TURNS[1], 2, 2),
        ("2026-04-20T11:00:00.848Z", 2, 2),
        ("2026-04-20T13:00:00.746+02:00", 2, 1),
        ("2026-04-21", 3, 2),
    ],
)
def test_time_travel_to_a_line_a_turn_or_a_time(point: str, turns: int, items: int, run: Run) -> None:
    state = json.loads(run(THREE, "--state", "--until", point)[1])
    assert len(state["turns"]) == turns
    assert not turns or len(state["turns"][-1]["items"]) == items


def test_the_timeline_travels_too(run: Run) -> None:
    out = run(THREE, "--until", TURNS[0])[1]
    assert "First answer" in out
    assert "second question" not in out


def test_turns_that_no_event_opens_are_points_too(tmp_path: Path, run: Run) -> None:
    lines = [meta(thread_id(1)), said("one"), answered("1"), said("two"), answered("2")]
    path = write(tmp_path / "r.jsonl", lines)
    state = json.loads(run(path, "--state")[1])
    for number, turn in enumerate(state["turns"], 1):
        there = json.loads(run(path, "--state", "--until", turn["id"])[1])
        assert there["turns"] == state["turns"][:number]


@pytest.mark.parametrize("path", fixture_rollouts(), ids=lambda path: path.stem)
def test_the_state_at_the_last_line_is_the_state(path: Path, run: Run) -> None:
    last = len(path.read_bytes().splitlines())
    assert run(path, "--state") == run(path, "--state", "--until", str(last))


def test_a_difference_names_what_is_new_gone_and_other(run: Run) -> None:
    code, out = run(THREE, "--diff", "11", "21")
    assert code == 0
    assert '~ turns[0].status "inProgress" -> "completed"' in out
    assert "+ turns[1] " in out
    assert "~ facts.usage.info.total_token_usage.total_tokens 120 -> 400" in out
    rolled_back = fixture_rollouts("rolled_back")[0]
    assert "- turns[2] " in run(rolled_back, "--diff", "31", "32")[1]
    assert run(THREE, "--diff", "12", "12") == (0, "")


def test_a_difference_for_programs(run: Run) -> None:
    changes = [json.loads(line) for line in run(THREE, "--diff", "11", "12", "--json")[1].splitlines()]
    assert {"path": "turns[0].status", "before": "inProgress", "after": "completed"} in changes


# -- check -----------------------------------------------------------------------------------------


def test_a_sound_file_ends_with_code_0(run: Run) -> None:
    code, out = run(THREE, "--check")
    assert (code, out) == (0, f"{THREE}: sound; 30 lines, 9,114 bytes, 3 turns\n")


def test_a_damaged_file_ends_with_code_1_and_says_where(tmp_path: Path, run: Run) -> None:
    text = THREE.read_bytes()
    path = write(tmp_path / "r.jsonl", [text[:-100]])
    code, out = run(path, "--check")
    report = json.loads(run(path, "--check", "--json")[1])
    torn = text.rindex(b"\n", 0, -100) + 1
    assert code == 1
    assert f"damage line 30, byte {torn}: torn tail" in out
    assert report["sound"] is False
    assert [finding["kind"] for finding in report["findings"]] == ["torn tail", "unfinished turn"]
    assert run(path, "--check", "--until", "12")[0] == 0


def test_a_file_named_after_another_thread_is_odd(tmp_path: Path, run: Run) -> None:
    path = write(place(tmp_path, thread_id(1)), [meta(thread_id(2))])
    code, out = run(path, "--check")
    assert code == 1
    assert f"oddity file name: says thread {thread_id(1)}, the file says {thread_id(2)}" in out
    assert run(write(place(tmp_path, thread_id(2)), [meta(thread_id(2))]), "--check")[0] == 0


def test_of_many_findings_of_a_kind_a_person_is_shown_the_first(tmp_path: Path, run: Run) -> None:
    path = write(tmp_path / "r.jsonl", [meta(thread_id(1)), *[b"not json\n"] * 25])
    out = run(path, "--check")[1]
    assert out.count("bad line: JSON") == 20
    assert "bad line: 5 more of these (--json has them all)" in out
    assert len(json.loads(run(path, "--check", "--json")[1])["findings"]) == 25


def test_output_that_cannot_be_written_is_said_and_ends_with_code_2() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tools.replay", THREE], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, timeout=60
        )
    assert (done.returncode, done.stderr) == (2, b"rollout-replay: No space left on device\n")


def test_an_interrupt_ends_with_the_code_of_shells(tmp_path: Path) -> None:
    """The program hangs on reading a pipe that nobody writes to, and is interrupted there."""
    source, target = os.pipe()
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    waiting = subprocess.Popen(
        [sys.executable, "-m", "tools.replay", "-"], stdin=source, stderr=subprocess.PIPE, cwd=ROOT, env=environment
    )
    os.write(target, b"x" * (1 << 20))  # more than the pipe holds: done when the program reads
    waiting.send_signal(signal.SIGINT)
    assert waiting.communicate(timeout=60)[1] == b""
    assert waiting.returncode == 130
    assert os.listdir(tmp_path) == []
    os.close(source)
    os.close(target)


def test_progress_is_only_shown_where_somebody_looks(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [meta(thread_id(1)), said("hi"), *[answered("y" * 60_000)] * 600])
    done = process(sys.executable, "-m", "tools.replay", path, "--check")
    assert (done.returncode, done.stderr) == (0, b"")
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "tools.replay", path, "--check"],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        cwd=ROOT,
        env=os.environ | {"TERM": "xterm"},
        timeout=60,
    )
    assert b"checking" in os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)


# -- materialise -----------------------------------------------------------------------------------


def child(home: Path, number: int, parent: Path, size: int, own: list[bytes]) -> Path:
    """A fork by reference of the first bytes of another rollout."""
    source = parent.stem[-36:]
    stand_in = said("stands in for the parent") + line("compacted", {"message": "", "replacement_history": []})
    log = joined(FileLog(parent), {path.stem[-36:]: FileLog(path) for path in parent.parent.iterdir()}.get)
    base = {
        "type": "history_base",
        "thread_id": source,
        "bytes": size,
        "anchor": anchor(log, size + (log.shift if isinstance(log, SplicedLog) else 0)),
        "stand_in": len(stand_in),
    }
    head = [meta(thread_id(number), forked_from_id=source), line("engine_event", base), stand_in]
    return write(place(home, thread_id(number)), [*head, *own])


def test_a_fork_by_reference_becomes_a_full_copy(tmp_path: Path, run: Run) -> None:
    parts = [meta(thread_id(1)), said("one"), answered("1")]
    parent = write(place(tmp_path, thread_id(1)), [*parts, said("after the fork")])
    own = [said("two"), answered("2")]
    fork = child(tmp_path, 2, parent, sum(map(len, parts)), own)
    target = tmp_path / "copy.jsonl"
    assert run(fork, "--check", "--home", tmp_path)[0] == 0
    assert run(fork, "--materialise", target, "--home", tmp_path)[0] == 0
    first = fork.read_bytes().splitlines(keepends=True)[0]
    assert target.read_bytes() == b"".join([first, *parts, *own])
    assert sorted(os.listdir(tmp_path)) == ["copy.jsonl", "sessions"]


def test_a_fork_of_a_fork_takes_the_lines_of_both(tmp_path: Path, run: Run) -> None:
    parts = [meta(thread_id(1)), said("one")]
    parent = write(place(tmp_path, thread_id(1)), parts)
    middle = child(tmp_path, 2, parent, sum(map(len, parts)), [said("two")])
    last = child(tmp_path, 3, middle, middle.stat().st_size, [said("three")])
    target = tmp_path / "copy.jsonl"
    assert run(last, "--materialise", target, "--home", tmp_path)[0] == 0
    entries = [json.loads(line) for line in run(target, "--json")[1].splitlines()]
    assert [entry["text"] for entry in entries if entry["kind"] == "user"] == ["one", "two", "three"]


def test_a_lost_or_short_parent_is_damage_and_leaves_no_copy(tmp_path: Path, run: Run) -> None:
    parent = write(place(tmp_path, thread_id(1)), [meta(thread_id(1)), said("one")])
    fork = child(tmp_path, 2, parent, parent.stat().st_size, [])
    write(parent, [meta(thread_id(1))])
    for _ in range(2):
        assert run(fork, "--check", "--home", tmp_path)[0] == 1
        assert run(fork, "--materialise", tmp_path / "copy", "--home", tmp_path)[0] == 2
        assert os.listdir(tmp_path) == ["sessions"]
        parent.unlink(missing_ok=True)


def test_a_full_copy_needs_no_copy(tmp_path: Path, run: Run) -> None:
    shutil.copy(THREE, tmp_path / "r.jsonl")
    assert run(tmp_path / "r.jsonl", "--materialise", tmp_path / "copy")[0] == 2
