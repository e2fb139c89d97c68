"""Reviews as clients ask for them: what is reviewed, in which words, on which thread (spec turns 8)."""

from __future__ import annotations

from collections.abc import Callable

from engine import submissions
from engine.clock import Clock
from engine.context import user_input
from engine.errors import BadRequest
from engine.threads import Answer, Client, Threads
from engine.turn.scripts.review import review
from projections import protocol as p
from rollouts import events as ev


class Reviews:
    """Starts reviews."""

    def __init__(self, threads: Threads, clock: Clock) -> None:
        self._threads = threads
        self._clock = clock

    async def start(
        self, params: p.ReviewStartParams, client: Client
    ) -> tuple[p.ReviewStartResponse, Answer | None, Callable[[], None]]:
        """The answer, the fork of a detached review, and what begins the review once the answer is out.

        :raises BadRequest: nothing to review, or an unknown thread.
        """
        target = _target(params.target)
        hint = _hint(target)
        thread = self._threads.get(params.thread_id)
        forked: Answer | None = None
        if params.delivery == "detached":
            forked = await self._threads.fork(p.ThreadForkParams(thread_id=thread.id), client)
            thread = self._threads.get(forked.thread_id)
        turn_id = self._threads.layout.new_id(self._clock.now())
        entered = ev.EnteredReviewMode(target=target, user_facing_hint=hint)
        prompt = user_input([p.TextUserInput(text=_prompt(target))])

        async def begin() -> None:
            if thread.running:
                thread.after_turn(begin)
                return
            setup = submissions.turn_setup(thread, turn_id, prompt, thread.settings, self._clock)
            await thread.start(turn_id, thread.settings, "review", lambda turn: review(turn, setup, entered))

        shown = p.UserMessageThreadItem(id=turn_id, content=[p.TextUserInput(text=hint)])
        turn = p.Turn(id=turn_id, items=[shown], status="inProgress")
        return p.ReviewStartResponse(turn=turn, review_thread_id=thread.id), forked, lambda: thread.post(begin)


def _target(given: p.ReviewTarget) -> ev.ReviewTarget:
    """The target with its texts trimmed.

    :raises BadRequest: naming the empty member.
    """
    match given:
        case p.BaseBranchReviewTarget(branch=branch):
            return ev.BaseBranch(branch=_filled("branch", branch))
        case p.CommitReviewTarget(sha=sha, title=title):
            return ev.CommitTarget(sha=_filled("sha", sha), title=title.strip() or None if title else None)
        case p.CustomReviewTarget(instructions=instructions):
            return ev.CustomTarget(instructions=_filled("instructions", instructions))
    return ev.UncommittedChanges()


def _filled(name: str, text: str) -> str:
    if not text.strip():
        raise BadRequest(f"{name} must not be empty")
    return text.strip()


def _hint(target: ev.ReviewTarget) -> str:
    """What people see of a target."""
    match target:
        case ev.BaseBranch(branch=branch):
            return f"changes against '{branch}'"
        case ev.CommitTarget(sha=sha, title=title):
            return f"commit {sha[:7]}" + (f": {title}" if title else "")
        case ev.CustomTarget(instructions=instructions):
            return instructions
    return "current changes"


def _prompt(target: ev.ReviewTarget) -> str:
    """What the reviewer is asked."""
    match target:
        case ev.BaseBranch(branch=branch):
            return (
                f"Review what this branch changes against '{branch}'. Find the merge base with `git merge-base HEAD "
                f"{branch}` (or its upstream) and read `git diff` from there. Give findings that can be acted on."
            )
        case ev.CommitTarget(sha=sha, title=title):
            named = f' ("{title}")' if title else ""
            return (
                f"Review the change of commit {sha}{named}, as `git show {sha}` gives it. "
                "Give findings that can be acted on."
            )
        case ev.CustomTarget(instructions=instructions):
            return instructions
    return (
        "Review what has changed in the work tree and is not committed: staged, unstaged and untracked files. "
        "Give findings that can be acted on."
    )
