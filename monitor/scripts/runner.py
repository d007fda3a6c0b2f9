"""Runs a script: lines of HMP and of the prompt's own, and values of QMP JSON, answered on standard output."""

from __future__ import annotations

import os
import sys

from ...commands.json_output import encode
from ...commands.json_stream import NEED_MORE, JSONError, JSONStream
from ...vm.errors import VMError
from ..dispatch import HMPLineError, is_task
from ..lines.session import LineSession
from ..lines.variables import substituted
from .reading import script_lines, write_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ...vm.steps import Task
    from ..target import Target
    from .recording import Recorder

DEEPEST = 16
"""Scripts that may be in one another by `include`."""


class _IncludeFailedError(HMPLineError):
    """A script that another includes has failed, and told so."""


class ScriptRunner:
    """Runs commands one after another and counts the failures."""

    def __init__(self, target: Target, keep_going: bool, recorder: Recorder | None = None) -> None:
        self._target = target
        self._keep_going = keep_going
        self._recorder = recorder
        self._session = LineSession(target)
        self._session.front = {"include": self._include, "source": self._include}
        self._files: list[str] = []
        """The scripts that are being run, each included by the one before."""
        self.failed = False

    def run(self, lines: Iterable[tuple[str, str]]) -> None:
        """Run all lines, each with its place for messages, or those up to the first that fails."""
        self._run_lines(lines)
        self._wait_for_migration()

    def run_file(self, path: str) -> None:
        """Run a script; `-` is standard input. Raises `VMError`."""
        self._files.append(path)
        self.run(script_lines(self._target.loop, path))
        self._files.pop()

    def _run_lines(self, lines: Iterable[tuple[str, str]]) -> bool:
        """Whether all of them were run, failed or not."""
        stream: JSONStream | None = None
        for place, line in lines:
            if self._target.loop.stopping:
                return False
            stripped = line.strip()
            if stream is None and (not stripped or stripped.startswith("#")):
                continue
            if stream is None and not stripped.startswith("{"):
                done = self._run_hmp(place, stripped)
            else:
                done, stream = self._run_json(place, line, stream or JSONStream())
            if not done and not self._keep_going:
                return False
            self._target.loop.run_once(0)
        if stream is not None:
            return self._fail("end of script", "", "JSON parse error, premature EOI")
        return True

    def _include(self, rest: str) -> Task[str]:
        """`include`: run another script; its name is relative to the folder of the one that names it."""
        yield from ()
        path = os.path.expanduser(rest.strip().strip('"'))
        if not path:
            raise HMPLineError("include: the name of a file expected\n")
        path = os.path.join(os.path.dirname(self._files[-1]) if self._files else "", path)
        if len(self._files) >= DEEPEST:
            raise HMPLineError(f"include: more than {DEEPEST} scripts in one another\n")
        self._files.append(path)
        try:
            if not self._run_lines(script_lines(self._target.loop, path)):
                raise _IncludeFailedError("")
        except VMError as error:
            raise HMPLineError(f"Error: {error}\n") from None
        finally:
            self._files.pop()
        return ""

    def _wait_for_migration(self) -> None:
        """See a migration through that the script began: the program's end would stop it."""
        reason = self._target.finish_migration()
        if reason is not None:
            self._fail("migrate", "", reason)

    def _run_json(self, place: str, line: str, stream: JSONStream) -> tuple[bool, JSONStream | None]:
        """Run the values that are complete; the stream is returned while a value is begun in it.

        Bad JSON ends with its line, so that what follows can be understood again.
        """
        try:
            line = substituted(line, self._session.variables)
        except HMPLineError as failure:
            return self._fail(place, line, str(failure), failure), None
        stream.feed(line.encode("utf-8", "surrogateescape") + b"\n")
        done, broken = True, False
        while (value := stream.take()) is not NEED_MORE:
            done = self._run_qmp(place, value) and done
            broken = broken or isinstance(value, JSONError)
            if not done and not self._keep_going:
                return False, None
        return done, None if broken or stream.idle else stream

    def _run_hmp(self, place: str, line: str) -> bool:
        try:
            text = self._target.worker.wait(self._session.run(line)).text
        except _IncludeFailedError:
            return False
        except HMPLineError as failure:
            return self._fail(place, line, str(failure), failure)
        self._note(line, text)
        write_output(self._target.loop, text)
        return True

    def _run_qmp(self, place: str, value: Any) -> bool:
        typed = "" if isinstance(value, JSONError) or self._recorder is None else _spelled(value)
        try:
            name, arguments, request_id = _request(value)
            result = self._target.run_command(name, arguments)
            if is_task(result):
                result = self._target.worker.wait(result)
            answer = {"return": result}
        except VMError as error:
            answer = {"error": {"class": error.qmp_class, "desc": str(error)}}
            return self._fail(place, typed, _spelled(answer), error)
        if request_id is not None:
            answer["id"] = request_id
        self._note(typed, _spelled(answer))
        write_output(self._target.loop, _spelled(answer))
        return True

    def _note(self, line: str, text: str, failed: bool = False) -> None:
        if self._recorder is not None and line:
            self._recorder.note(line, text, failed)

    def _fail(self, place: str, line: str, text: str, error: Exception | None = None) -> bool:
        # What a signal cut short has not failed: the program ends with 0 then, as QEMU.
        if not self._target.loop.stopping:
            self.failed = True
            self._note(line, text, failed=True)
            self._target.warn(f"{place}: {text.strip()}")
            hint = self._target.remedy_of(error) if error is not None else None
            if hint is not None:
                print(f"hint: {hint}", file=sys.stderr)
        return False


def _spelled(value: Any) -> str:
    return encode(value).decode().replace("\r\n", "\n")


def _request(value: Any) -> tuple[str, dict[str, Any], Any]:
    """Name, arguments and id of a request; raises `VMError` with QEMU's text."""
    if isinstance(value, JSONError):
        raise VMError(value.text)
    if not isinstance(value, dict):
        raise VMError("QMP input must be a JSON object")
    if "execute" not in value:
        raise VMError("QMP input lacks member 'execute'")
    for member in value:
        if member not in ("execute", "arguments", "id"):
            raise VMError(f"QMP input member '{member}' is unexpected")
    name, arguments = value["execute"], value.get("arguments", {})
    if not isinstance(name, str):
        raise VMError("QMP input member 'execute' must be a string")
    if not isinstance(arguments, dict):
        raise VMError("QMP input member 'arguments' must be an object")
    return name, arguments, value.get("id")
