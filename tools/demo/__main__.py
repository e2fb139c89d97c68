"""`python -m tools.demo`: tell the story once; exit code 1 if anything in it was not as claimed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio
import cyclopts

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
        anyio.run(Story(stage, keep.resolve()).tell)
    else:
        with tempfile.TemporaryDirectory(prefix="rollout-engine-demo-") as folder:
            anyio.run(Story(stage, Path(folder).resolve()).tell)
    if stage.failed:
        stage.act(f"{stage.failed} of {stage.held + stage.failed} checks failed")
        sys.exit(1)
    stage.act(f"All {stage.held} checks held")
    stage.say("Serve clients with `make serve`; attach a terminal with `codex --remote ws://127.0.0.1:4500`.")


def main() -> None:
    """The command line."""
    cyclopts.run(demo)


if __name__ == "__main__":
    main()
