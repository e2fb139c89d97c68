"""What a fork's file begins with: its own meta, then the lines of its source (spec rollout-format 12)."""

from __future__ import annotations

from collections.abc import Iterator

from engine.rollout_files import check_text
from engine.turn.ending import aborted_marker
from projections.turns import TurnTable
from rollouts import codec
from rollouts import events as ev
from rollouts.log import Log


def copied_lines(log: Log) -> Iterator[ev.Body]:
    """Every parsed line of the source and every engine line, in order, without its agent task and set git details.

    A turn that is still open in the source ends as interrupted in the copy.

    :raises Unreadable: the source is no text.
    :raises LogError: the source cannot be read.
    """
    turns = TurnTable()
    for record in log.read():
        line = codec.decode(record.data)
        check_text(log.path, line)
        if isinstance(line, codec.BadLine) or not _is_copied(line.body):
            continue
        turns.apply(line)
        yield line.body
    if turns.open is not None and turns.open.status != "interrupted":
        yield aborted_marker()
        yield ev.TurnAborted(turn_id=turns.open.id if turns.open.explicit else None, reason="interrupted")


def _is_copied(body: ev.Body) -> bool:
    if isinstance(body, ev.ThreadMetadata):
        return False
    return (codec.counts(body) and not isinstance(body, ev.OtherItem)) or isinstance(body, ev.EngineEvent)
