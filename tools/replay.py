"""`python -m tools.replay ROLLOUT`: shows a rollout, its state at any point, what changed, and whether it is sound."""

from __future__ import annotations

from tools.replaying.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
