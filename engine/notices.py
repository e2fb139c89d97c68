"""What clients are told beside the answer to a start, resume or fork."""

from __future__ import annotations

from engine.config import FEATURES, deprecations
from engine.notes import Everyone, Notification, Subscribers
from engine.thread import Thread
from projections import protocol as p

ON_FAILURE = (
    "`on-failure` approval policy is deprecated and will be removed in a future release. Use `on-request` for "
    "interactive approvals or `never` for non-interactive runs."
)


def started(thread: p.Thread) -> Notification:
    """Every client hears of a new thread."""
    return Notification("thread/started", p.ThreadStartedNotification(thread=thread), Everyone())


def warnings(thread: Thread) -> tuple[Notification, ...]:
    """What to know about the settings of a thread that was loaded."""
    told = (
        p.DeprecationNoticeNotification(summary=each.summary, details=each.details)
        for each in deprecations(thread.settings.config.table)
    )
    old = [Notification("deprecationNotice", note, Subscribers(thread.id)) for note in told]
    if thread.settings.approval_policy == "on-failure":
        old.append(_warning(thread, ON_FAILURE))
    return (*old, *_unstable(thread))


def _unstable(thread: Thread) -> tuple[Notification, ...]:
    """A notice about switched-on features that are still being built."""
    config = thread.settings.config
    names = [name for name, each in FEATURES.items() if each.stage == "underDevelopment" and config.feature(name)]
    if not names or config.get("suppress_unstable_features_warning", False):
        return ()
    message = (
        f"Features that are still under development are switched on: {', '.join(names)}. They are incomplete and may "
        "behave in ways you do not expect, or change without notice. To see no more of this notice, set "
        f"`suppress_unstable_features_warning = true` in {config.home / 'config.toml'}."
    )
    return (_warning(thread, message),)


def other_model(thread: Thread, recorded: str) -> Notification:
    """A session goes on with another model than the one it was recorded with."""
    message = (
        f"This session was recorded with model `{recorded}` but is resuming with `{thread.settings.model}`. "
        f"Consider switching back to `{recorded}` as it may affect Codex performance."
    )
    return _warning(thread, message)


def _warning(thread: Thread, message: str) -> Notification:
    note = p.WarningNotification(thread_id=thread.id, message=message)
    return Notification("warning", note, Subscribers(thread.id))
