"""A machine elsewhere as a target of scripts and the console: what is asked goes to QEMU, or to our views."""

from __future__ import annotations

import json
import re
import sys

from ...commands import hmp_commands
from ...commands.hmp import HMPError, take_word
from ...commands.status import PACKAGE
from ...vm.errors import VMError
from ..compat.nearest import nearest_release
from ..dispatch import QMP_TWIN, HMPLineError
from ..worker import Worker
from .access import check_request, hmp_name
from .client import Client, ReplyError
from .command_line_diff import DIFF
from .schema import Help, parse_help
from .views import DERIVED, STRANGE, Views

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from ...commands.hmp import HMPCommand
    from ...vm.releases import Release
    from ...vm.steps import Task
    from ..loop import Loop
    from .seen import SeenMachine

OWN_LINES = ("info map", "why", "info memslots", "info slots-cost", "info compat")
"""HMP commands of ours that a real QEMU has not."""
LEAVE = ("quit", "q")
"""Ends the session, and never the machine; QMP's `quit` would end that."""
NOTE = "derived from QEMU's flat view by the rules of KVM, numbered anew: QEMU tells of no slots\n"
LAST_WORDS_SECONDS = 0.2
"""After QEMU's end, for showing what it answered before."""
_REFUSED = re.compile(r"(Error: |unknown command: ')|.*\nTry \"help [^\n]*\" for more information\n\Z", re.DOTALL)


class Attached:
    """A `monitor.target.ConsoleTarget` in another process. Raises `VMError` if QEMU does not tell what it is."""

    def __init__(
        self,
        client: Client,
        *,
        program: str = "ramslot",
        write: bool = False,
        as_json: bool = False,
        pid: int | None = None,
        command_line: str = "",
    ) -> None:
        self.client = client
        self.loop: Loop = client.loop
        self.worker = Worker(self.loop)
        self.ending = False
        self.show_progress: Callable[[str], object] | None = None
        self.left = False
        """Whether the session was ended by our own user."""
        self.failure: str | None = None
        """Why the session ended against our will."""
        self._program = program
        self.write = write
        self._json = as_json
        client.on_end = self._on_end
        self.notes: list[str] = []
        try:
            release = self._learn()
        except STRANGE as error:
            raise VMError(f"{client.name}: no QEMU answers so: {type(error).__name__}: {error}") from None
        self.own_lines = self._choose_lines(hmp_commands(release))
        self._known_lines = {name: row for name, row in hmp_commands(release).items() if name.startswith("info ")}
        self._lines: dict[str, Help] = {}
        self.views = Views(client, release, pid, command_line)

    def _learn(self) -> Release:
        """Learn what this is, and return the release that is nearest."""
        told = self.client.ask_now("query-version")
        number = told["qemu"]
        self.version = f"{number['major']}.{number['minor']}.{number['micro']}"
        self.is_ramslot = str(told.get("package", "")).startswith(PACKAGE.split()[0])
        name = self.client.ask_now("qom-get", {"path": "/machine", "property": "type"})
        self.machine_type = str(name).removesuffix("-machine")
        self.commands = {str(each["name"]) for each in self.client.ask_now("query-commands")}
        return nearest_release(f"{number['major']}.{number['minor']}", self.machine_type, None, self.notes)

    def _choose_lines(self, lines: dict[str, HMPCommand]) -> dict[str, HMPCommand]:
        """Our HMP commands: where another ramslot is attached, it answers for itself."""
        if self.is_ramslot:
            return {}
        return {**{name: lines[name] for name in OWN_LINES}, DIFF.name: DIFF}

    @property
    def request_names(self) -> set[str]:
        """The QMP commands there are, QEMU's and ours."""
        return self.commands | self.views.names

    @property
    def lines(self) -> dict[str, Help]:
        """The HMP commands there are, QEMU's (which it is asked for once) and ours."""
        if not self._lines:
            for line in ("help", "help info"):
                try:
                    text = self.client.ask_now("human-monitor-command", {"command-line": line})
                except ReplyError:
                    continue  # before the machine is made (`-preconfig`) there are few commands
                self._lines |= parse_help(str(text))
            self._lines |= {name: Help(each.syntax, each.help) for name, each in self.own_lines.items()}
            self._lines = dict(sorted(self._lines.items()))
        return self._lines

    def seen(self) -> Task[SeenMachine]:
        """The machine, as far as QEMU tells of it; the task raises `VMError`."""
        return self.views.seen()

    # Lines

    def run_line(self, line: str) -> Task[str]:
        """Run an HMP line, ours or QEMU's, or a QMP command typed as `query-status` or `qom-get path=/machine ...`."""
        line = line.strip()
        twin = line.endswith(QMP_TWIN)
        line = line.removesuffix(QMP_TWIN)
        if hmp_name(line) in LEAVE:
            self.shut_down("host-qmp-quit")
            return ""
        if not line:
            return ""
        try:
            request = self._typed_request(line)
            if request is not None:
                return self._twin(*request) if twin else self._spelled((yield from self.run_command(*request)))
            return (yield from self._run_hmp(line, twin))
        except HMPError as error:
            raise HMPLineError(str(error)) from None
        except VMError as error:
            raise HMPLineError(f"Error: {error.full_text}\n", error.hint) from None

    def _run_hmp(self, line: str, twin: bool) -> Task[str]:
        name, rest = _split(line)
        command = self.own_lines.get(name) or self._structured(name)
        if command is not None:
            words = command.parse(rest, name)
            request, arguments = command.request(NO_MACHINE, words)
            if twin:
                return self._twin(request, arguments)
            result = yield from self.run_command(request, arguments)
            if self._json:
                return self._spelled(result)
            note = NOTE if request in DERIVED else ""
            if isinstance(result, dict) and "not-seen" in result:
                note += f"{result['not-seen']}\n"
            return note + command.render(result, words)
        if name in ("help", "?") and rest in self.own_lines:
            return self.own_lines[rest].help_line
        forwarded = {"command-line": line}
        if twin:
            return self._twin("human-monitor-command", forwarded)
        text = str((yield from self.run_command("human-monitor-command", forwarded))).replace("\r\n", "\n")
        if _REFUSED.match(text):
            raise HMPLineError(text)
        if name in ("help", "?") and rest in ("", "info") and not self.is_ramslot:
            own = [each for each in self.own_lines.values() if each.name.startswith("info ") == (rest == "info")]
            text += "".join(each.help_line for each in own)
        return self._spelled(text) if self._json else text

    def _structured(self, name: str) -> HMPCommand | None:
        """For `-json`, the HMP command of this name, if it stands for a QMP command that can be asked."""
        command = self._known_lines.get(name) if self._json else None
        if command is None:
            return None
        try:
            request, _arguments = command.request(NO_MACHINE, {})
        except (AttributeError, KeyError):  # it depends on a machine of ours, or on words
            return None
        return command if request in self.request_names else None

    def _typed_request(self, line: str) -> tuple[str, dict[str, Any]] | None:
        """The request that a line stands for which begins with the name of a QMP command that HMP has not."""
        name, rest = take_word(line) if line else ("", "")
        if "-" not in name or name in IN_BOTH or not (name in self.commands or self.views.has(name)):
            return None
        arguments: dict[str, Any] = {}
        while rest:
            word, rest = take_word(rest)
            key, equals, value = word.partition("=")
            if not equals:
                raise HMPError(f"{name}: '{word}' is no argument; arguments are typed as name=value\n")
            try:
                arguments[key] = json.loads(value)
            except ValueError:
                arguments[key] = value
        return name, arguments

    def _spelled(self, result: Any) -> str:
        if self._json:
            return f"{json.dumps({'return': result})}\n"
        return f"{json.dumps(result, indent=4)}\n"

    def _twin(self, command: str, arguments: dict[str, Any]) -> str:
        return f"{json.dumps({'execute': command, 'arguments': arguments} if arguments else {'execute': command})}\n"

    # Requests

    def run_command(self, name: str, arguments: dict[str, Any]) -> Task[Any]:
        """Run a QMP command, here if it is ours and QEMU has none of that name."""
        if name not in self.commands and self.views.has(name):
            return (yield from self.views.answer(name, dict(arguments)))
        if not self.write:
            check_request(name, arguments)
        return (yield self.client.question(name, arguments))

    def line_as_json(self, line: str) -> Task[Any]:
        """What a line of ours, or one whose text we read, returns as QMP; of others the text. Raises `HMPLineError`."""
        was_json, self._json = self._json, True
        try:
            answer: dict[str, Any] = json.loads((yield from self.run_line(line)) or "{}")
            return answer.get("return")
        finally:
            self._json = was_json

    def has_request(self, name: str) -> bool:
        """Whether there is a QMP command of this name, QEMU's or ours."""
        return name in self.request_names

    def line_names(self, *, now: bool = False) -> Collection[str]:
        """The HMP commands there are."""
        return self.lines

    def silent_command(self, _line: str) -> str | None:
        """None: QEMU does not tell which of its commands print nothing."""
        return None

    def example(self, topic: str) -> str:
        """A line with one of our own HMP commands."""
        return self.own_lines[topic].example if topic in self.own_lines else ""

    def describe_error(self, error: Exception) -> tuple[str, str]:
        """QMP class and text of any error; one that is no refusal is a defect of ours and is told on stderr as well."""
        if isinstance(error, VMError):
            return error.qmp_class, str(error)
        text = f"internal error: {type(error).__name__}: {error}"
        self.warn(text)
        return "GenericError", text

    def remedy_of(self, error: Exception) -> str | None:
        """The hint that an error brings."""
        return getattr(error, "hint", None)

    def warn(self, text: str) -> None:
        """A line on stderr, after the program's name."""
        print(f"{self._program}: {text}", file=sys.stderr)

    def finish_migration(self) -> str | None:
        """QEMU's goes on without us."""
        return None

    # End

    def _on_end(self) -> None:
        if not self.client.shut_down:
            self.failure = f"{self.client.name}: QEMU has ended, or has closed the connection"
        self.loop.call_later(LAST_WORDS_SECONDS, self.shut_down, "host-signal")

    def shut_down(self, _reason: str) -> None:
        """End the session. The machine goes on."""
        self.left = not self.client.closed
        self.ending = True
        self.loop.stop()

    def close(self) -> None:
        """Let go of the connection, whatever waits for an answer."""
        self.ending = True
        self.client.close()
        self.worker.close()


IN_BOTH = (
    *("qom-list", "qom-get", "qom-set", "chardev-add", "chardev-change", "chardev-remove", "chardev-send-break"),
    *("dump-guest-memory", "xen-event-inject", "xen-event-list"),
)
"""Names of QMP commands that HMP has too, with arguments of its own."""
NO_MACHINE: Any = None
"""Our HMP commands here look at no machine to make a request."""


def _split(line: str) -> tuple[str, str]:
    """The name of a line's command, `info` commands having two words, and the rest."""
    name, rest = take_word(line) if line else ("", "")
    if name == "info" and rest:
        subject, rest = take_word(rest)
        name = f"info {subject}"
    return name, rest
