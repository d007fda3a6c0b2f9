"""The console on a QEMU: `monitor.console` with this machine's words, events and state."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches

from prompt_toolkit.completion import Completer, Completion

from ...commands.status import PACKAGE
from ..console.lexers import PREFIXES
from ..console.qmp_completion import qmp_candidates
from ..console.session import serve_terminal
from ..console.typed import is_json
from ..dispatch import QMP_TWIN
from ..lines.commands import COMMANDS
from ..qmp import QMPSession
from .completion import Lookup, next_words
from .schema import Help, QEMUSchema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from typing import Any

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from ..console.subject import OnEvent
    from ..lines.session import LineSession
    from ..scripts.recording import Recorder
    from .attached import Attached

COMPLETION_SECONDS = 2.0
"""After which Tab finds nothing, where QEMU is busy."""
LONGEST_MEANING = 60
SEPARATOR = ("", " │ ")
READ_ONLY = "read-only"


def run_console(attached: Attached, recorder: Recorder | None, vi: bool) -> None:
    """Serve the person at the terminal until they leave or QEMU ends."""
    access = "" if attached.write else f", {READ_ONLY}"
    print(f"{PACKAGE}, attached to QEMU {attached.version}, {attached.machine_type}{access}", flush=True)
    serve_terminal(attached, AttachedSubject(attached), recorder=recorder, vi=vi)


class AttachedSubject:
    """See `monitor.console.subject.Subject`."""

    prompt = "(attached) "
    tips = 'Tab completes, {"execute": …} and query-… speak QMP, info map and why are ours, Ctrl-D leaves'
    farewell = ""

    def __init__(self, attached: Attached) -> None:
        self._attached = attached
        self._state = ""
        self._asking = False
        self._on_event: OnEvent | None = None
        self._lines = attached.lines
        attached.client.on_event = self._take_event
        self._ask_state()

    @property
    def names(self) -> Iterable[str]:
        """HMP commands, and QMP commands that are typed."""
        return {*self._lines, *(name for name in self._attached.request_names if "-" in name)}

    def completer_of(self, lines: LineSession) -> AttachedCompleter:
        """What completes a line of a session."""
        return AttachedCompleter(self._attached, self._lines, lines)

    def suggestion(self, line: str, _error: str, aliases: Iterable[str]) -> str | None:
        """The name that is most like a mistyped one."""
        words = line.split()
        name = " ".join(words[:2]) if words[:1] == ["info"] else "".join(words[:1])
        if not name or name in self._lines:
            return None
        if name in ("exit", "logout", "bye"):
            return "'quit' ends the session, and not the machine"
        similar = get_close_matches(name, [*self.names, *COMMANDS, *aliases], 1)
        return f"did you mean '{similar[0]}'?" if similar else None

    def new_session(self) -> QMPSession:
        """What cuts typed JSON into requests, and spells answers."""
        return QMPSession(pretty=True, places=True)

    def watch_events(self, on_event: OnEvent) -> None:
        """Call back with the name and the data of each event."""
        self._on_event = on_event

    def ignore_events(self, _on_event: OnEvent) -> None:
        """Do so no more."""
        self._on_event = None

    def _take_event(self, message: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(str(message["event"]), message.get("data"))
        self._ask_state()

    def _ask_state(self) -> None:
        if not self._asking:
            self._asking = True
            self._attached.client.send({"execute": "query-status"}, self._note_state)

    def _note_state(self, reply: dict[str, Any]) -> None:
        self._asking = False
        told = reply.get("return")
        if isinstance(told, dict):
            self._state = str(told.get("status", ""))

    def status_bar(self) -> StyleAndTextTuples:
        """Machine, run state, version, and whether only reading is allowed."""
        running = "running" if self._state == "running" else "paused"
        parts: StyleAndTextTuples = [
            ("", self._attached.machine_type),
            (f"class:bottom-toolbar.{running}", self._state),
            ("", f"QEMU {self._attached.version}"),
            ("", "may change it" if self._attached.write else READ_ONLY),
            ("", self._attached.client.name),
        ]
        fragments: StyleAndTextTuples = [("", " ")]
        for part in parts:
            fragments += [part, SEPARATOR]
        fragments[-1] = ("", " ")
        return fragments


class AttachedCompleter(Completer):
    """Completes HMP and QMP from what this QEMU has; what must be asked is asked while the prompt goes on."""

    def __init__(self, attached: Attached, lines: dict[str, Help], session: LineSession) -> None:
        self._attached = attached
        self._lines = lines
        self._session = session
        self._schema: QEMUSchema | None = None

    def get_completions(self, _document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        """Nothing: what there is has to be asked for, see `get_completions_async`."""
        return []

    async def get_completions_async(
        self, document: Document, _event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """The words that may stand at the cursor and begin as what is typed there, each with its meaning."""
        text = document.text_before_cursor
        schema = await self._learnt_schema()
        found: list[tuple[str, str]] | Lookup
        if is_json(text):
            start, found = qmp_candidates(schema, text) if schema is not None else (len(text), [])
        else:
            own = {name: Help(row.syntax, row.help) for name, row in COMMANDS.items()}
            aliases = {name: Help("", f"alias of {line}") for name, line in self._session.aliases.items()}
            prefix = PREFIXES.match(text)
            before = prefix.end() if prefix is not None else 0
            start, found = next_words(text[before:], self._lines | own | aliases, schema)
            start += before
        if isinstance(found, Lookup):
            found = found.read(await self._answer(found.command, found.arguments))
        typed = text[start:]
        if typed.startswith("--"):
            found = [(QMP_TWIN.strip(), "show the QMP command that this line stands for")]
        for word, meaning in found:
            if word.startswith(typed):
                yield Completion(word, start - len(text), word, meaning.partition("\n")[0][:LONGEST_MEANING])

    async def _learnt_schema(self) -> QEMUSchema | None:
        if self._schema is None:
            entries = await self._answer("query-qmp-schema", {})
            self._schema = QEMUSchema(entries) if isinstance(entries, list) else None
        return self._schema

    async def _answer(self, command: str, arguments: dict[str, Any]) -> Any:
        """What a command returns; None if it fails, or takes too long."""
        answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def take(reply: dict[str, Any]) -> None:
            if not answered.done():
                answered.set_result(reply)

        self._attached.client.send({"execute": command, "arguments": arguments}, take)
        try:
            return (await asyncio.wait_for(answered, COMPLETION_SECONDS)).get("return")
        except TimeoutError:
            return None
