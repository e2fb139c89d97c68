"""Open questions to clients: approvals, user input, elicitations, client-side tools.

Owns the ids, the open set and the decoding of answers; sends nothing. Rule: an answer that is an error or does not
decode counts as the most cautious answer there is for its method (wire.md, section 3), never as consent. The items of
commands and patches show a client's error as a failure, so that has an answer of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from projections import protocol as p

OnAnswer = Callable[[msgspec.Struct], None]


class Question(msgspec.Struct, frozen=True, eq=False):
    """A server request that waits for its answer; ``thread_id`` None: it concerns no thread."""

    id: int
    thread_id: str | None
    method: str
    params: object
    on_answer: OnAnswer


class CommandAnswerFailed(p.CommandExecutionRequestApprovalResponse, frozen=True, kw_only=True):
    """Asked about a command, the client answered with an error."""

    decision: p.CommandExecutionApprovalDecision = "decline"


class PatchAnswerFailed(p.FileChangeRequestApprovalResponse, frozen=True, kw_only=True):
    """Asked about a patch, the client answered with an error."""

    decision: p.FileChangeApprovalDecision = "decline"


class AnswerType(msgspec.Struct, frozen=True):
    """What a method's answer decodes to, and the answer that stands in for a bad one.

    `failed` stands in for an error where that makes a difference.
    """

    type: type[msgspec.Struct]
    cautious: Callable[[], msgspec.Struct]
    failed: Callable[[], msgspec.Struct] | None = None


class Asks:
    """The open questions of one server process, numbered from 0.

    :param answer_types: by method of the server request.
    """

    def __init__(self, answer_types: Mapping[str, AnswerType]) -> None:
        self._answer_types = answer_types
        self._next = 0
        self._open: dict[int, Question] = {}

    def open(self, thread_id: str | None, method: str, params: object, on_answer: OnAnswer) -> Question:
        """Number a new question.

        :raises KeyError: for a method that is no server request.
        """
        self._answer_types[method]
        question = Question(self._next, thread_id, method, params, on_answer)
        self._open[question.id] = question
        self._next += 1
        return question

    def get(self, question_id: object) -> Question | None:
        """The open question of that id; None for an unknown, closed or ill-typed one."""
        return self._open.get(question_id) if isinstance(question_id, int) else None

    def of_thread(self, thread_id: str) -> list[Question]:
        """The open questions of a thread, oldest first."""
        return [q for q in self._open.values() if q.thread_id == thread_id]

    def withdraw(self, question_id: int) -> Question | None:
        """Close a question without an answer; None when it is not open."""
        return self._open.pop(question_id, None)

    def answer(self, question: Question, result: bytes | None) -> Callable[[], None]:
        """Close a question with the JSON of its answer (None: the client answered with an error).

        Returns the delivery of the decoded answer to the asker, so that the caller can announce the end first.
        """
        del self._open[question.id]
        answer = self._decode(question.method, result)
        return lambda: question.on_answer(answer)

    def _decode(self, method: str, result: bytes | None) -> msgspec.Struct:
        expected = self._answer_types[method]
        if result is None:
            return (expected.failed or expected.cautious)()
        try:
            return msgspec.json.decode(result, type=expected.type)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return expected.cautious()


def _tool_failed(why: str) -> p.DynamicToolCallResponse:
    text = p.InputTextDynamicToolCallOutputContentItem(text=why)
    return p.DynamicToolCallResponse(content_items=[text], success=False)


#: Every server request of the protocol. A refused token refresh reads as empty tokens, which no server accepts.
ANSWER_TYPES: Final[Mapping[str, AnswerType]] = {
    "item/commandExecution/requestApproval": AnswerType(
        p.CommandExecutionRequestApprovalResponse,
        lambda: p.CommandExecutionRequestApprovalResponse(decision="decline"),
        CommandAnswerFailed,
    ),
    "item/fileChange/requestApproval": AnswerType(
        p.FileChangeRequestApprovalResponse,
        lambda: p.FileChangeRequestApprovalResponse(decision="decline"),
        PatchAnswerFailed,
    ),
    "item/tool/requestUserInput": AnswerType(
        p.ToolRequestUserInputResponse, lambda: p.ToolRequestUserInputResponse(answers={})
    ),
    "item/permissions/requestApproval": AnswerType(
        p.PermissionsRequestApprovalResponse,
        lambda: p.PermissionsRequestApprovalResponse(permissions=p.GrantedPermissionProfile()),
    ),
    "item/tool/call": AnswerType(
        p.DynamicToolCallResponse,
        lambda: _tool_failed("dynamic tool response was invalid"),
        lambda: _tool_failed("dynamic tool request failed"),
    ),
    "mcpServer/elicitation/request": AnswerType(
        p.McpServerElicitationRequestResponse,
        lambda: p.McpServerElicitationRequestResponse(action="decline"),
    ),
    "account/chatgptAuthTokens/refresh": AnswerType(
        p.ChatgptAuthTokensRefreshResponse,
        lambda: p.ChatgptAuthTokensRefreshResponse(access_token="", chatgpt_account_id=""),
    ),
    "applyPatchApproval": AnswerType(
        p.ApplyPatchApprovalResponse, lambda: p.ApplyPatchApprovalResponse(decision="denied")
    ),
    "execCommandApproval": AnswerType(
        p.ExecCommandApprovalResponse, lambda: p.ExecCommandApprovalResponse(decision="denied")
    ),
}
