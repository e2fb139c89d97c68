"""`python -m tools.demo`: tell the story once; exit code 1 if anything in it was not as claimed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio
import cyclopts

from tools.client import RpcError, ServerGone
from tools.demo.stage import Stage
from tools.demo.story import Story


def demo(*, keep: Path | None = None) -> None:
    """Play a whole session on the embedded demo provider: no network, no key.

    Parameters
    ----------
    keep
        A new folder for the session's files, which then stay. Otherwise they are temporary.
    """
    stage = Stage()
    if keep is not None:
        keep.mkdir(parents=True)
        _tell(stage, keep.resolve())
    else:
        with tempfile.TemporaryDirectory(prefix="rollout-engine-demo-") as folder:
            _tell(stage, Path(folder).resolve())
    if stage.failed:
        stage.act(f"{stage.failed} of {stage.held + stage.failed} checks failed")
        sys.exit(1)
    stage.act(f"All {stage.held} checks held")
    stage.say("Serve clients with `make serve`; attach a terminal with `codex --remote ws://127.0.0.1:4500`.")


def _tell(stage: Stage, folder: Path) -> None:
    try:
        anyio.run(Story(stage, folder).tell)
    except* (ServerGone, RpcError, TimeoutError) as group:
        stage.check("the story goes on", None, _first(group))


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def main() -> None:
    """The command line."""
    cyclopts.run(demo)


if __name__ == "__main__":
    main()
