"""From a typed command to its answer: HMP and QMP are run as for any other monitor, and can be interrupted.

What is printed comes out as an `Answer`; how it looks is decided here, where it goes is not.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import contextmanager

from ..dispatch import HMPLineError, is_task
from ..lines.variables import substituted
from ..qmp import Answer as SessionAnswer
from ..qmp import Request
from .lexers import JSONLexer, output_lexer
from .typed import is_json, numbered_commands, to_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import Any

    from pygments.lexer import Lexer

    from ...vm.steps import Cancellation, Task
    from ..lines.session import LineSession
    from ..qmp import QMPSession
    from ..target import Target
    from .subject import Subject

PATIENCE = 0.5
"""Seconds after which the user is told that a command is still running."""
SOURCE = ("source", "include")
"""The commands that run a file."""
DEEPEST = 16
"""Files that may name one another."""


class Answer:
    """What a command printed: its text with the lexer for its colours; or an error, with a remedy if there is one."""

    __slots__ = ("failed", "hint", "lexer", "line", "text")

    def __init__(self, text: str, lexer: Lexer | None = None, *, failed: bool = False, hint: str | None = None) -> None:
        self.text = text
        self.lexer = lexer
        self.failed = failed
        self.hint = hint
        self.line = ""
        """The line that it is the plain answer to, if it is."""


class Executor:
    """Runs typed commands one at a time; what else the loop serves is served meanwhile.

    `on_wait` is called when a command takes long.
    """

    def __init__(self, target: Target, subject: Subject, on_wait: Callable[[], object], session: LineSession) -> None:
        self._target = target
        self._subject = subject
        self._on_wait = on_wait
        self._session = session
        self._cancellation: Cancellation | None = None
        self._depth = 0
        """Files that are being run, each named by a line of the one before."""
        self._busy = False
        self.interrupted = False
        """Whether no more of what was typed, or of a file, is to be run."""

    @contextmanager
    def busy(self) -> Iterator[None]:
        """While what was typed is run, which `interrupt` ends."""
        self._busy, self.interrupted = True, False
        try:
            yield
        finally:
            self._busy = False

    def interrupt(self) -> bool:
        """Cancel the command that runs, which ends with an error then, and those behind it. Returns whether any is."""
        if not self._busy:
            return False
        self.interrupted = True
        if self._cancellation is not None:
            self._cancellation.requested = True
        return True

    async def run(self, command: str) -> AsyncIterator[Answer]:
        """Run a line, or all requests of a JSON text, and give their answers."""
        name, _, rest = command.partition(" ")
        if is_json(command):
            async for answer in self._run_qmp(command):
                yield answer
        elif name in SOURCE:
            async for answer in self._run_source(rest):
                yield answer
        else:
            yield await self._run_line(command)

    async def run_file(self, path: str, *, keep_going: bool = False) -> AsyncIterator[Answer]:
        """Run the lines of a file, up to the first that fails or all the same; that one's answer names its place."""
        try:
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except (OSError, ValueError) as error:
            yield Answer(f"Error: cannot read '{path}': {getattr(error, 'strerror', error)}\n", failed=True)
            return
        if self._depth >= DEEPEST:
            yield Answer(f"source: more than {DEEPEST} files in one another\n", failed=True)
            return
        self._depth += 1
        try:
            for number, command in numbered_commands(text.removeprefix("\ufeff")):
                failed = False
                async for answer in self.run(command):
                    if answer.failed:
                        failed = True
                        answer.text = f"{path}:{number}: {answer.text}"
                    yield answer
                if self.interrupted and not failed:
                    yield Answer(f"{path}:{number}: interrupted\n", failed=True)
                if (failed and not keep_going) or self.interrupted or self._target.ending:
                    return
        finally:
            self._depth -= 1

    async def _run_source(self, rest: str) -> AsyncIterator[Answer]:
        try:
            path = os.path.expanduser(substituted(rest.strip(), self._session.variables).strip('"'))
        except HMPLineError as failure:
            yield Answer(str(failure), failed=True, hint=failure.hint)
            return
        if not path:
            yield Answer("source: the name of a file expected\n", failed=True)
            return
        async for answer in self.run_file(path):
            yield answer

    async def _run_line(self, line: str) -> Answer:
        try:
            printed = await self.wait(self._session.run(line))
        except HMPLineError as failure:
            known = self._target.remedy_of(failure)
            likely = self._subject.suggestion(line.split(" | ")[0], str(failure), self._session.aliases)
            return Answer(str(failure), failed=True, hint=likely or known)
        except Exception as error:
            return Answer(f"Error: {self._target.describe_error(error)[1]}\n", failed=True)
        answer = Answer(printed.text, output_lexer(printed.line))
        answer.line = printed.line
        return answer

    async def _run_qmp(self, text: str) -> AsyncIterator[Answer]:
        session = self._subject.new_session()
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
            result = self._target.run_command(request.command, request.arguments)
            if is_task(result):
                result = await self.wait(result)
        except Exception as error:
            hint = self._target.remedy_of(error)
            return _json_answer(session.fail(request, *self._target.describe_error(error)), failed=True, hint=hint)
        return _json_answer(session.reply(request, result))

    async def wait(self, task: Task[Any]) -> Any:
        """Run a task to its end; raises what it raises."""
        done: asyncio.Future[tuple[Any, Exception | None]] = asyncio.get_running_loop().create_future()

        def finish(result: Any, error: Exception | None) -> None:
            if not done.done():  # nobody waits any more where the session was ended meanwhile
                done.set_result((result, error))

        self._cancellation = self._target.worker.start(task, finish)
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
