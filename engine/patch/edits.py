"""Which lines two texts share: the shortest edit script, settled so that equal changes look equal.

Pure. The search is E. W. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), section 4b, with the
choices of the reference's diff library where several scripts are equally short, so that items show the same hunks.
Work is bounded: past the budget the rest of a stretch counts as replaced, which is a longer diff but a true one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

# Inner steps of the search, about a second. Enough for any two texts of 1,000 lines, and for far longer ones
# that are mostly the same.
BUDGET = 2_000_000


class Change(msgspec.Struct, frozen=True):
    """Lines `old_start:old_end` of the old text became `new_start:new_end` of the new; not both are empty."""

    old_start: int
    old_end: int
    new_start: int
    new_end: int


class _Run(msgspec.Struct):
    """A stretch of one kind: kept (`=`), removed (`-`) or added (`+`) lines. `old`, `new`: where it starts."""

    kind: str
    old: int
    new: int
    size: int

    def grow_up(self, step: int) -> None:
        """Start this many lines earlier."""
        self.old, self.new, self.size = self.old - step, self.new - step, self.size + step


def changes(old: Sequence[str], new: Sequence[str], budget: int = BUDGET) -> list[Change]:
    """What became of the lines of `old`, in order; kept lines stand between any two changes."""
    numbers: dict[str, int] = {}
    search = _Search(
        [numbers.setdefault(line, len(numbers)) for line in old],
        [numbers.setdefault(line, len(numbers)) for line in new],
        budget,
    )
    search.split(0, len(old), 0, len(new))
    runs = _settled(search.runs, search.old, search.new)
    found: list[Change] = []
    old_at = new_at = old_from = new_from = 0
    for run in [*runs, _Run("=", len(old), len(new), 0)]:
        if run.kind == "-":
            old_at += run.size
        elif run.kind == "+":
            new_at += run.size
        else:
            if (old_from, new_from) != (old_at, new_at):
                found.append(Change(old_from, old_at, new_from, new_at))
            old_at, new_at = old_at + run.size, new_at + run.size
            old_from, new_from = old_at, new_at
    return found


class _Search:
    """Divide and conquer over one pair of texts, lines given as numbers."""

    def __init__(self, old: list[int], new: list[int], budget: int) -> None:
        self.old = old
        self.new = new
        self.runs: list[_Run] = []
        self._budget = budget
        size = (len(old) + len(new) + 1) // 2 + 2
        self._forward = [0] * (2 * size + 1)
        self._backward = [0] * (2 * size + 1)
        self._middle = size

    def split(self, old_from: int, old_to: int, new_from: int, new_to: int) -> None:
        """Append the runs for this stretch of both texts."""
        old, new = self.old, self.new
        head = _same_ahead(old, old_from, old_to, new, new_from, new_to)
        self._append("=", old_from, new_from, head)
        old_from, new_from = old_from + head, new_from + head
        tail = _same_behind(old, old_from, old_to, new, new_from, new_to)
        old_to, new_to = old_to - tail, new_to - tail
        middle = None
        if old_from < old_to and new_from < new_to:
            middle = self._middle_snake(old_from, old_to - old_from, new_from, new_to - new_from)
        if middle:
            self.split(old_from, middle[0], new_from, middle[1])
            self.split(middle[0], old_to, middle[1], new_to)
        else:
            self._append("-", old_from, new_from, old_to - old_from)
            self._append("+", old_to, new_from, new_to - new_from)
        self._append("=", old_to, new_to, tail)

    def _append(self, kind: str, old: int, new: int, size: int) -> None:
        if size:
            self.runs.append(_Run(kind, old, new, size))

    def _middle_snake(self, old_from: int, rows: int, new_from: int, columns: int) -> tuple[int, int] | None:
        """A point on a shortest path, found from both ends at once; None when the budget is used up.

        Diagonal k of a direction holds the furthest x of a path with d steps; y is x - k.
        """
        old, new = self.old, self.new
        forward, backward, zero = self._forward, self._backward, self._middle
        delta = rows - columns
        odd = delta % 2 == 1
        forward[zero + 1] = backward[zero + 1] = 0
        for d in range((rows + columns + 1) // 2 + 1):
            self._budget -= 2 * d + 2
            if self._budget < 0:
                return None
            for k in range(d, -d - 1, -2):
                x = _furthest(forward, zero + k, k == -d, k == d)
                x_start = x
                while x < rows and x - k < columns and old[old_from + x] == new[new_from + x - k]:
                    x += 1
                forward[zero + k] = x
                if odd and abs(k - delta) < d and x + backward[zero + delta - k] >= rows:
                    return old_from + x_start, new_from + x_start - k
            for k in range(d, -d - 1, -2):
                x = _furthest(backward, zero + k, k == -d, k == d)
                row, column = old_from + rows - 1, new_from + columns - 1 + k
                while x < rows and x - k < columns and old[row - x] == new[column - x]:
                    x += 1
                backward[zero + k] = x
                if not odd and abs(k - delta) <= d and x + forward[zero + delta - k] >= rows:
                    return old_from + rows - x, new_from + columns - (x - k)
        raise AssertionError("two paths from opposite corners always meet")


def _furthest(ends: list[int], at: int, lowest: bool, highest: bool) -> int:
    """Where a path enters a diagonal: down from the one above or right from the one below."""
    if lowest or (not highest and ends[at - 1] < ends[at + 1]):
        return ends[at + 1]
    return ends[at - 1] + 1


def _same_ahead(old: list[int], old_from: int, old_to: int, new: list[int], new_from: int, new_to: int) -> int:
    """How many lines are the same from the front."""
    size, most = 0, min(old_to - old_from, new_to - new_from)
    while size < most and old[old_from + size] == new[new_from + size]:
        size += 1
    return size


def _same_behind(old: list[int], old_from: int, old_to: int, new: list[int], new_from: int, new_to: int) -> int:
    """How many lines are the same from the back."""
    size, most = 0, min(old_to - old_from, new_to - new_from)
    while size < most and old[old_to - 1 - size] == new[new_to - 1 - size]:
        size += 1
    return size


def _settled(runs: list[_Run], old: list[int], new: list[int]) -> list[_Run]:
    """The same script with added lines slid up and then down as far as they go, joining what they meet."""
    runs = _removals_last(runs)
    at = 0
    while at < len(runs):
        if runs[at].kind == "+":
            at = _slide_up(runs, at, old, new)
            at = _slide_down(runs, at, old, new)
        at += 1
    return runs


def _removals_last(runs: list[_Run]) -> list[_Run]:
    """Between kept lines, additions first and then one removal of all that is removed there."""
    tidy: list[_Run] = []
    removed: _Run | None = None
    for run in runs:
        if run.kind == "-" and removed:
            removed.size += run.size
        elif run.kind == "-":
            removed = run
        else:
            if run.kind == "=" and removed:
                tidy.append(removed)
                removed = None
            tidy.append(run)
    return [*tidy, removed] if removed else tidy


def _slide_up(runs: list[_Run], at: int, old: list[int], new: list[int]) -> int:
    """Move the addition at `at` up; returns where it is now."""
    while at > 0:
        before, run = runs[at - 1], runs[at]
        if before.kind == "+":
            before.size += run.size
            del runs[at]
        elif before.kind == "-":
            runs[at - 1 : at + 1] = [run, before]
        else:
            step = _same_behind(old, before.old, before.old + before.size, new, run.new, run.new + run.size)
            if not step:
                break
            run.new, before.size = run.new - step, before.size - step
            if at + 1 < len(runs) and runs[at + 1].kind == "=":
                runs[at + 1].grow_up(step)
            else:
                runs.insert(at + 1, _Run("=", before.old + before.size, run.new + run.size, step))
            if before.size:
                continue
            del runs[at - 1]
        at -= 1
    return at


def _slide_down(runs: list[_Run], at: int, old: list[int], new: list[int]) -> int:
    """Move the addition at `at` down; returns where it is now."""
    while at + 1 < len(runs):
        run, after = runs[at], runs[at + 1]
        if after.kind == "+":
            run.size += after.size
            del runs[at + 1]
        elif after.kind == "-":
            runs[at : at + 2] = [after, run]
            at += 1
        else:
            step = _same_ahead(old, after.old, after.old + after.size, new, run.new, run.new + run.size)
            if not step:
                break
            if at > 0 and runs[at - 1].kind == "=":
                runs[at - 1].size += step
            else:
                runs.insert(at, _Run("=", after.old, run.new, step))
                at += 1
            run.new += step
            after.grow_up(-step)
            if not after.size:
                del runs[at + 1]
    return at
