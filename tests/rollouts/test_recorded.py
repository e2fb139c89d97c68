"""What is particular to a log in a recorder; what it shares is in `test_log_contract.py`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import IntegrityError, StoredEvent

from rollouts.errors import Conflict, LogError
from rollouts.recorded import RecorderLog, Store, open_store, topic

ONE = "019db5b4-882e-7f63-98df-000000000001"
TWO = "019db5b4-882e-7f63-98df-000000000002"
META = b'{"timestamp":"2026-04-20T10:00:00.000Z","type":"session_meta","payload":{}}'


@pytest.fixture(params=["sqlite", "popo"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    name = {"SQLITE_DBNAME": str(tmp_path / "store.db")} if request.param == "sqlite" else {}
    opened = open_store({"PERSISTENCE_MODULE": f"eventsourcing.{request.param}", **name})
    yield opened
    opened.close()


def test_a_line_is_a_stored_event_of_its_type(store: Store) -> None:
    store.log(ONE).append([META, b"torn {"], expected_end=0)
    events = store.recorder.select_events(store.log(ONE)._originator)
    assert [(e.originator_version, e.topic, e.state) for e in events] == [
        (0, "session_meta", META),
        (1, "unknown", b"torn {"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"payload":{"type":"inner"},"type":"event_msg"}', "event_msg"),
        (b'{"type":7}', "unknown"),
        (b'{"type":"\\u0000"}', "unknown"),
        (b"[]", "unknown"),
        (b"", "unknown"),
        (b"\xff", "unknown"),
    ],
)
def test_topics(line: bytes, expected: str) -> None:
    assert topic(line) == expected


def test_threads_are_apart_and_listed_by_age(store: Store) -> None:
    for thread_id in (TWO, ONE):
        store.log(thread_id).append([META, META, b"{}"], expected_end=0)
    store.log("019db5b4-882e-7f63-98df-000000000003").append([b"no meta"], expected_end=0)
    assert [thread_id for _, thread_id in store.metas()] == [TWO, TWO, ONE, ONE]
    assert store.log(ONE).end() == 3


def test_many_threads_are_listed_in_pages(store: Store) -> None:
    ids = [f"019db5b4-882e-7f63-98df-{n:012x}" for n in range(50)]
    for thread_id in ids:
        store.log(thread_id).append([META], expected_end=0)
    metas = list(store.metas())
    assert [thread_id for _, thread_id in metas] == ids
    assert list(store.metas(metas[20][0])) == metas[21:]


def test_long_logs_are_read_in_pages_from_either_end(store: Store) -> None:
    log = store.log(ONE)
    lines = [b"%d" % n * (n % 7) for n in range(5000)]
    log.append(lines, expected_end=0)
    assert [r.data for r in log.read()] == lines
    assert [r.data for r in log.read_back()] == lines[::-1]


def test_pages_of_heavy_lines_are_small(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = store.log(ONE)
    log.append([b"x" * 200_000] * 60, expected_end=0)
    asked: list[int] = []
    select = log._select

    def counted(**kwargs: int) -> object:
        asked.append(kwargs["limit"])
        return select(**kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(log, "_select", counted)
    assert sum(1 for _ in log.read()) == 60
    assert max(asked) <= 16


def test_a_writer_that_comes_between_check_and_insert_wins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    log = store.log(ONE)
    log.append([META], expected_end=0)
    insert = store.recorder.insert_events

    def late(events: list[StoredEvent]) -> object:
        monkeypatch.setattr(store.recorder, "insert_events", insert)
        store.log(ONE).append([b"theirs"], expected_end=1)
        return insert(events)

    monkeypatch.setattr(store.recorder, "insert_events", late)
    with pytest.raises(Conflict) as caught:
        log.append([b"mine", b"too"], expected_end=1)
    assert caught.value.actual == 2
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert [r.data for r in log.read()] == [META, b"theirs"]


def test_a_database_survives_its_process(tmp_path: Path) -> None:
    env = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(tmp_path / "store.db")}
    first = open_store(env)
    first.log(ONE).append([META], expected_end=0)
    first.close()
    second = open_store(env)
    assert [r.data for r in second.log(ONE).read()] == [META]
    second.close()


@pytest.mark.parametrize(
    "env",
    [
        {"PERSISTENCE_MODULE": "eventsourcing.nosuchmodule"},
        {"PERSISTENCE_MODULE": "eventsourcing.sqlite"},
        {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": "/nowhere/at/all.db"},
    ],
)
def test_a_store_that_cannot_be_opened_says_why(env: dict[str, str]) -> None:
    with pytest.raises(LogError):
        open_store(env)


def test_a_thread_id_is_a_uuid(store: Store) -> None:
    with pytest.raises(ValueError, match="not a thread id"):
        RecorderLog(store.recorder, "../../etc/passwd")


def test_the_library_is_imported_when_a_store_is_opened_and_not_before() -> None:
    program = "import rollouts.recorded, rollouts.log, rollouts.layout, sys; print(sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "'eventsourcing" not in modules
    assert "'zstandard" not in modules
