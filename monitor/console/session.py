"""A person's session at the prompt, from the first line to the last."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.cursor_shapes import ModalCursorShapeConfig
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.utils import is_dumb_terminal

from ..lines.redirection import Redirection
from ..lines.session import LineSession
from .execution import Answer, Executor
from .highlighting import ConsoleLexer, highlight
from .history import history_path, open_history, startup_path
from .hosting import LoopHost
from .key_bindings import wants_vi
from .screen import Screen
from .style import make_style
from .typed import commands_in, is_unfinished
from .watching import watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from ..scripts.recording import Recorder
    from ..target import ConsoleTarget
    from .subject import Subject

WAITING = "still running; Ctrl-C cancels"
WAY_OUT = "Ctrl-D or 'quit' ends the session"


def serve_terminal(
    target: ConsoleTarget, subject: Subject, *, recorder: Recorder | None = None, vi: bool = False
) -> None:
    """Have a session at the terminal; a dumb one gets plain text only."""
    with create_app_session(output=PlainTextOutput(sys.stdout) if is_dumb_terminal() else None):
        asyncio.run(ConsoleSession(target, subject, recorder=recorder, vi=vi).run())


class ConsoleSession:
    """Reads commands, runs them, shows answers and events, until the program ends or the user leaves."""

    def __init__(
        self, target: ConsoleTarget, subject: Subject, *, recorder: Recorder | None = None, vi: bool = False
    ) -> None:
        self._target = target
        self._subject = subject
        style = make_style()
        self._screen = Screen(style)
        self._recorder = recorder
        # What a transcript is to have must not go by us.
        transcribed = recorder is not None and recorder.transcribes
        self._lines = LineSession(target, None if transcribed else self._screen.lend)
        self._lines.front["watch"] = lambda rest: watch(self._lines, self._screen, rest)
        self._executor = Executor(target, subject, self._on_wait, self._lines)
        self._stopped = asyncio.Event()
        self._farewell: str | None = None
        self._bar: StyleAndTextTuples = []
        self._prompt: PromptSession[str] = PromptSession(
            [("class:prompt", subject.prompt)],
            multiline=Condition(lambda: is_unfinished(self._prompt.default_buffer.text)),
            prompt_continuation=[("class:continuation", "... ".rjust(len(subject.prompt)))],
            style=style,
            include_default_pygments_style=False,
            lexer=ConsoleLexer(subject.names, self._lines),
            completer=subject.completer_of(self._lines),
            editing_mode=EditingMode.VI if vi or wants_vi(os.environ) else EditingMode.EMACS,
            cursor=ModalCursorShapeConfig(),
            complete_while_typing=False,
            enable_history_search=True,
            enable_suspend=True,
            history=open_history(history_path()),
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._status_bar,
        )

    async def run(self) -> None:
        """Serve the terminal until the program ends; it is told to end if the user leaves."""
        target = self._target
        target.loop.on_signal(signal.SIGINT, self._interrupt)
        self._subject.watch_events(self._on_event)
        target.show_progress = self._show_progress
        stderr = sys.stderr
        with patch_stdout(raw=True), LoopHost(target.loop, self._on_round):
            if not stderr.isatty():
                sys.stderr = stderr
            self._screen.write_line(self._subject.tips, "dim")
            await self._start_up()
            while not target.ending:
                text = await self._read()
                if text is None:
                    break
                await self._run(text)
            await self._stopped.wait()
        if self._farewell is not None:
            self._screen.write_line(self._farewell, "dim")
        self._subject.ignore_events(self._on_event)
        target.show_progress = None
        if self._recorder is not None:
            self._recorder.close()

    async def _read(self) -> str | None:
        """What the user types; None if nothing will come any more."""
        try:
            return await self._prompt.prompt_async(handle_sigint=False, pre_run=self._on_round)
        except KeyboardInterrupt:
            if not self._prompt.default_buffer.text:
                self._screen.write_line(WAY_OUT, "dim")
            return ""
        except EOFError:
            self._target.shut_down("host-qmp-quit")
        except OSError:
            self._screen.give_up()
            self._target.shut_down("host-signal")
        return None

    async def _start_up(self) -> None:
        """Run the user's own lines, if there are any."""
        path = startup_path()
        if os.path.exists(path):
            with self._executor.busy():
                async for answer in self._executor.run_file(path, keep_going=True):
                    await self._show(answer)

    async def _run(self, text: str) -> None:
        with self._executor.busy():
            for command in commands_in(text):
                answers = []
                async for answer in self._executor.run(command):
                    answers.append(answer)
                    await self._show(answer)
                if self._recorder is not None:
                    failed = any(answer.failed for answer in answers)
                    self._recorder.note(command, "".join(answer.text for answer in answers), failed)
                if self._target.ending or self._executor.interrupted:
                    return

    async def _show(self, answer: Answer) -> None:
        text = self._screen.fitted(answer.line, answer.text)
        fragments: StyleAndTextTuples = [("class:error", text)] if answer.failed else highlight(text, answer.lexer)
        paged = None if answer.failed else self._screen.page(fragments)
        if paged is None:
            self._screen.write(fragments)
        else:
            await self._executor.wait(self._lines.deliver(paged[0], Redirection("|", paged[1])))
        if answer.hint:
            self._screen.write_line(f"hint: {answer.hint}", "hint")

    # What happens meanwhile

    def _interrupt(self) -> None:
        """SIGINT, which Ctrl-C is while a command runs: that command is cancelled, or the line."""
        if self._screen.lent and not self._screen.is_whole:
            return  # the program that has the terminal was sent it, too
        if self._executor.interrupt():
            self._screen.write([("", "\n")])  # behind the terminal's own "^C"
        else:
            self._leave_prompt(KeyboardInterrupt)

    def _leave_prompt(self, reason: type[BaseException]) -> None:
        prompt = self._screen.prompting
        if prompt is not None and prompt.future is not None and not prompt.future.done():
            prompt.exit(exception=reason)

    def _on_round(self) -> None:
        """The loop has worked: other monitors may have changed what the bar shows, or ended the program."""
        prompt = self._screen.prompting
        if self._target.loop.stopping:
            self._stopped.set()
            self._executor.interrupt()
            self._leave_prompt(EOFError)
        elif prompt is not None and self._bar != self._subject.status_bar():
            prompt.invalidate()

    def _status_bar(self) -> StyleAndTextTuples:
        self._bar = self._subject.status_bar()
        return self._bar

    def _on_wait(self) -> None:
        if not self._screen.progress and not self._screen.lent:
            self._screen.write_line(WAITING, "dim")

    def _show_progress(self, text: str) -> None:
        self._screen.show_progress(f"{text}; Ctrl-C cancels" if text else "")

    def _on_event(self, name: str, data: dict[str, Any] | None) -> None:
        if name == "PREALLOC_PROGRESS":
            return  # there is a bar for it
        line = f"event: {name}" + (f" {json.dumps(data)}" if data else "")
        if name == self._subject.farewell:
            # The prompt is about to be left, and our own user knows why: told when it is gone, and to others only.
            self._farewell = line if self._screen.prompting is not None else None
        else:
            self._screen.write_line(line, "dim")
