"""The commands about turns, as the adapter calls them: start, steer, interrupt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio.to_thread

from engine import submissions
from engine.clock import Clock
from engine.context import user_input
from engine.errors import BadRequest
from engine.settings import Settings, with_turn
from engine.skills import discover
from engine.threads import Threads
from engine.turn.effects import Submission
from projections import protocol as p


class Turns:
    """Turns of loaded threads."""

    def __init__(self, threads: Threads, clock: Clock) -> None:
        self._threads = threads
        self._clock = clock

    def start(self, params: p.TurnStartParams) -> tuple[str, Callable[[], None]]:
        """Check a turn and give it its id; calling the second value lets it begin.

        :raises BadRequest: unknown thread, contradictory overrides.
        :raises BadValue: too much text.
        """
        thread = self._threads.get(params.thread_id)
        submissions.check_size(params.input)
        asked_for = with_turn(thread.settings, params, self._threads.cwd)
        prepare = self._submission(asked_for, params.input, params.responsesapi_client_metadata)
        turn_id = self._threads.layout.new_id(self._clock.now())

        async def begun() -> None:
            user = await prepare()
            settings = with_turn(thread.settings, params, self._threads.cwd)  # on top of what was asked for before
            await submissions.begin(thread, turn_id, user, settings, self._clock)

        return turn_id, lambda: thread.post(begun)

    async def steer(self, params: p.TurnSteerParams) -> str:
        """Add input to the running turn; returns its id.

        :raises BadRequest: no such turn runs, or there is no input.
        :raises BadValue: too much text.
        """
        thread = self._threads.get(params.thread_id)
        if not params.expected_turn_id:
            raise BadRequest("expectedTurnId must not be empty")
        if not params.input:
            raise BadRequest("input must not be empty")
        submissions.check_size(params.input)
        prepare = self._submission(thread.settings, params.input, params.responsesapi_client_metadata)

        async def steered() -> str:
            return await submissions.steer(thread, params.expected_turn_id, await prepare(), self._clock)

        return await thread.ask(steered)

    def interrupt(self, params: p.TurnInterruptParams, answered: Callable[[], None]) -> None:
        """End whatever turn runs; `answered` is called then, or at once when none does.

        :raises BadRequest: unknown thread.
        """
        self._threads.get(params.thread_id).interrupt(answered)

    def shell(self, params: p.ThreadShellCommandParams) -> Callable[[], None]:
        """A command of the user; calling the value lets it run.

        :raises BadRequest: no command, or an unknown thread.
        """
        command = params.command.strip()
        if not command:
            raise BadRequest("command must not be empty")
        thread = self._threads.get(params.thread_id)
        turn_id = self._threads.layout.new_id(self._clock.now())
        return lambda: thread.post(lambda: submissions.shell(thread, turn_id, command, self._clock))

    def clean_terminals(self, params: p.ThreadBackgroundTerminalsCleanParams) -> Callable[[], None]:
        """End the background commands of a thread; calling the value begins it.

        :raises BadRequest: unknown thread.
        """
        thread = self._threads.get(params.thread_id)
        return lambda: thread.beside(thread.processes.clean)

    def compact(self, params: p.ThreadCompactStartParams) -> Callable[[], None]:
        """A turn that only compacts; calling the value lets it begin.

        :raises BadRequest: unknown thread.
        """
        thread = self._threads.get(params.thread_id)
        turn_id = self._threads.layout.new_id(self._clock.now())
        return lambda: thread.post(lambda: submissions.compact(thread, turn_id, self._clock))

    def _submission(
        self, settings: Settings, given: list[p.UserInput], metadata: dict[str, str] | None
    ) -> Callable[[], Awaitable[Submission]]:
        """Prepares the input when it is its turn, so that what was sent first is there first. Images take a while."""
        skills = discover(settings.config, settings.cwd).skills if _may_name_skills(given) else ()

        async def prepare() -> Submission:
            if any(isinstance(entry, p.LocalImageUserInput) for entry in given):
                return await anyio.to_thread.run_sync(user_input, given, skills, metadata)
            return user_input(given, skills, metadata)

        return prepare


def _may_name_skills(given: list[p.UserInput]) -> bool:
    """Whether it is worth looking for skills: the disk is not searched for input that cannot mean any."""
    return any(
        isinstance(entry, p.SkillUserInput) or (isinstance(entry, p.TextUserInput) and "$" in entry.text)
        for entry in given
    )
