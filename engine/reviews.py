"""Reviews as clients ask for them: what is reviewed, in which words, on which thread (spec turns 8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from errno import ENOENT

import msgspec

from engine import git, notices, submissions
from engine.clock import Clock
from engine.context import user_input
from engine.errors import BadRequest, Internal, os_reason
from engine.notes import Notification
from engine.threads import Client, Threads
from engine.turn.scripts.review import review
from projections import protocol as p
from rollouts import events as ev


class Begun(msgspec.Struct, frozen=True):
    """A review that is about to begin: its answer, what clients hear of its fork before that, and its beginning."""

    response: p.ReviewStartResponse
    forked: Notification | None
    begin: Callable[[], None]


class Reviews:
    """Starts reviews."""

    def __init__(self, threads: Threads, clock: Clock) -> None:
        self._threads = threads
        self._clock = clock

    async def start(self, params: p.ReviewStartParams, client: Client) -> Begun:
        """Check a review and give it its ids; `begin` lets it begin once the answer is out.

        A review takes the place of a turn that runs.

        :raises BadRequest: nothing to review, or an unknown thread.
        :raises Internal: a detached review of a thread that has nothing written yet.
        """
        thread = self._threads.get(params.thread_id)
        target = _target(params.target)
        hint = _hint(target)
        forked: Notification | None = None
        if params.delivery == "detached":
            if not thread.journal.written:
                raise Internal(f"error creating detached review thread: {os_reason(FileNotFoundError(ENOENT, ''))}")
            fork = await self._threads.fork(p.ThreadForkParams(thread_id=thread.id, exclude_turns=True), client)
            thread = self._threads.get(fork.thread_id)
            forked = notices.started(msgspec.structs.replace(fork.result.thread, forked_from_id=None))
        turn_id = self._threads.layout.new_id(self._clock.now())
        entered = ev.EnteredReviewMode(target=target, user_facing_hint=hint)

        async def begin() -> None:
            if isinstance(target, ev.BaseBranch) and not await git.inside(thread.settings.cwd):
                told = f"{json.dumps(str(thread.settings.cwd), ensure_ascii=False)} is not a git repository"
                error = ev.ErrorEvent(message=told, codex_error_info="other")
                if thread.running:
                    thread.refuse(error, turn_id)
                else:
                    thread.record([error], turn_id)
                return
            settings = thread.settings
            base = await git.merge_base(settings.cwd, target.branch) if isinstance(target, ev.BaseBranch) else None
            prompt = user_input([p.TextUserInput(text=_prompt(target, base))])
            await thread.replace()
            await thread.start(
                turn_id,
                settings,
                "review",
                lambda: submissions.turn_setup(thread, turn_id, prompt, settings, self._clock),
                lambda turn, setup: review(turn, setup, entered),
            )

        shown = p.UserMessageThreadItem(id=turn_id, content=[p.TextUserInput(text=hint)])
        turn = p.Turn(id=turn_id, items=[shown], status="inProgress")
        response = p.ReviewStartResponse(turn=turn, review_thread_id=thread.id)
        return Begun(response, forked, lambda: thread.post(begin))


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


def _prompt(target: ev.ReviewTarget, base: str | None) -> str:
    """What the reviewer is asked; `base` is where the work left the branch, if that is known."""
    match target:
        case ev.BaseBranch(branch=branch) if base is not None:
            return (
                f"Review what has changed against the branch '{branch}' since its merge base with this work, {base}: "
                f"`git diff {base}` gives it. Give findings that can be acted on."
            )
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
