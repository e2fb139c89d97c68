"""Automatic approval reviews by their id, as started and as ended.

Both lines count: the engine's own, written in every mode, and the reference's assessments of extended mode. A review
without an end was cut short and reads as aborted: nothing is ever approved because a decision is missing.
"""

from __future__ import annotations

import msgspec

from projections.recent import Recent
from rollouts import events as ev


class Review(msgspec.Struct, frozen=True):
    """The state of one review; `status` is `in_progress` until its end was written."""

    review_id: str
    turn_id: str
    status: ev.ReviewStatus
    action: ev.ReviewAction
    target_item_id: str | None = None
    risk_level: ev.RiskLevel | None = None
    user_authorization: ev.UserAuthorization | None = None
    rationale: str | None = None

    @property
    def outcome(self) -> ev.ReviewStatus:
        """How it ended; `aborted` when nobody is at it any more."""
        return "aborted" if self.status == "in_progress" else self.status


Reviews = Recent[Review]


def apply(state: Reviews, body: ev.Body) -> Reviews:
    """The state after a line; the same object if the line is about no review."""
    if isinstance(body, ev.Review):
        review_id = body.review_id
    elif isinstance(body, ev.GuardianAssessment):
        review_id = body.id
    else:
        return state
    review = Review(
        review_id=review_id,
        turn_id=body.turn_id,
        status=body.status,
        action=body.action,
        target_item_id=body.target_item_id,
        risk_level=body.risk_level,
        user_authorization=body.user_authorization,
        rationale=body.rationale,
    )
    for index in range(len(state.entries) - 1, -1, -1):
        if state.entries[index].review_id == review_id:
            return state.replace(index, review)
    return state.add(review)
