"""From a typed command to its answer: HMP and QMP are run as for any other monitor, and can be interrupted.

What is printed comes out as an `Answer`; how it looks is decided here, where it goes is not.
"""

from __future__ import annotations

import asyncio
import re

from ...commands import hmp_commands
from ...commands.json_stream import tells_places
from ...commands.status import PACKAGE
from ...schema import contract
from ...vm.errors import VMError
from ..dispatch import HMPLineError, execute, is_task, run_hmp_line
from ..qmp import Answer as SessionAnswer
from ..qmp import QMPSession, Request
from .lexers import JSONLexer, output_lexer
from .typed import is_json, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from pygments.lexer import Lexer

    from ...vm.releases import Release
    from ...vm.steps import Cancellation, Task
    from ..program import Program

PATIENCE = 0.5
"""Seconds after which the user is told that a command is still running."""


class Answer:
    """What a command printed: its text with the lexer for its colours; or an error, with a remedy if there is one."""

    __slots__ = ("failed", "hint", "lexer", "text")

    def __init__(self, text: str, lexer: Lexer | None = None, *, failed: bool = False, hint: str | None = None) -> None:
        self.text = text
        self.lexer = lexer
        self.failed = failed
        self.hint = hint


class Executor:
    """Runs typed commands one at a time; the program's other monitors are served meanwhile.

    `on_wait` is called when a command takes long.
    """

    def __init__(self, program: Program, on_wait: Callable[[], object]) -> None:
        self._program = program
        self._on_wait = on_wait
        self._cancellation: Cancellation | None = None

    def interrupt(self) -> bool:
        """Cancel the command that runs, which ends with an error then. Returns whether there is one."""
        if self._cancellation is None:
            return False
        self._cancellation.requested = True
        return True

    async def run(self, command: str) -> AsyncIterator[Answer]:
        """Run an HMP line, or all requests of a JSON text, and give their answers."""
        if is_json(command):
            async for answer in self._run_qmp(command):
                yield answer
        else:
            yield await self._run_hmp(command)

    def _hint(self, error: Exception, hint: str | None) -> str | None:
        from ...commands.remedies import remedy

        self._program.context.failure = error
        return remedy(str(error), hint, self._program.settings.config)

    async def _run_hmp(self, line: str) -> Answer:
        try:
            text = await self._wait(run_hmp_line(self._program.context, line))
        except HMPLineError as failure:
            hint = self._hint(failure, failure.hint)
            return Answer(str(failure), failed=True, hint=hint or did_you_mean(self._program.release, line))
        except Exception as error:
            return Answer(f"Error: {self._program.describe_error(error)[1]}\n", failed=True)
        return Answer(text, output_lexer(line))

    async def _run_qmp(self, text: str) -> AsyncIterator[Answer]:
        release = self._program.release
        session = QMPSession(release.version, PACKAGE, pretty=True, places=tells_places(release))
        session.negotiated = True
        session.receive(to_bytes(text))
        answered = False
        while True:
            event = session.next_event()
            if isinstance(event, Request):
                yield await self._answer(session, event)
            elif isinstance(event, SessionAnswer):
                yield _json_answer(event.data, failed=True)
            else:
                break
            answered = True
        if not answered:
            yield Answer("JSON parse error, premature EOI\n", failed=True)

    async def _answer(self, session: QMPSession, request: Request) -> Answer:
        try:
            result = execute(self._program.context, request.command, request.arguments)
            if is_task(result):
                result = await self._wait(result)
        except Exception as error:
            hint = self._hint(error, error.hint if isinstance(error, VMError) else None)
            return _json_answer(session.fail(request, *self._program.describe_error(error)), failed=True, hint=hint)
        return _json_answer(session.reply(request, result))

    async def _wait(self, task: Task[Any]) -> Any:
        """Run a task to its end; raises what it raises."""
        done: asyncio.Future[tuple[Any, Exception | None]] = asyncio.get_running_loop().create_future()

        def finish(result: Any, error: Exception | None) -> None:
            if not done.done():  # nobody waits any more where the session was ended meanwhile
                done.set_result((result, error))

        self._cancellation = self._program.worker.start(task, finish)
        try:
            await asyncio.wait((done,), timeout=PATIENCE)
            if not done.done():
                self._on_wait()
            result, error = await done
        finally:
            self._cancellation = None
        if error is not None:
            raise error
        return result


def _json_answer(data: bytes, *, failed: bool = False, hint: str | None = None) -> Answer:
    text = re.sub(r"([{\[])\n *([}\]])", r"\1\2", data.decode().replace("\r\n", "\n"))  # "{}" in one line
    return Answer(text, None if failed else JSONLexer(), failed=failed, hint=hint)


def did_you_mean(release: Release, line: str) -> str | None:
    """The remedy for a mistyped command's name: the name that is most like it."""
    commands = hmp_commands(release)
    words = line.split()
    name = " ".join(words[:2]) if words[:1] == ["info"] else "".join(words[:1])
    if not name or name in commands:
        return None
    if f"info {name}" in commands:
        return f"did you mean 'info {name}'?"
    from difflib import get_close_matches

    similar = get_close_matches(name, commands, 1)
    if similar:
        return f"did you mean '{similar[0]}'?"
    if name in contract(release.number).commands():
        return f'a QMP command: {{"execute": "{name}"}}'
    return "'quit' ends the program" if name in ("exit", "logout", "bye") else None
