"""From a command's name, or an HMP line, to its answer: look up, check, run, render.

What asked, and how the answer is written, is not known here.
"""

from __future__ import annotations

from ..commands import handler
from ..schema import ArgumentError
from ..vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..commands import Context
    from ..commands.hmp import HMPCommand
    from ..vm.steps import Task

QMP_TWIN = " --qmp"
"""At the end of an HMP line: show the QMP command that it stands for, and do not run it."""
TOO_EARLY = "The command '{}' is permitted only after machine initialization has completed"
TOO_EARLY_FOR_PEOPLE = "Command '{}' not available until machine initialization has completed.\n"
LEAVE_PRECONFIG = "'exit_preconfig' makes the machine; until then set_numa_node and object_add tell of its memory"
MOST_TEXTS = 16
"""How many texts are kept for a client."""


class HMPLineError(Exception):
    """An HMP line that failed; `str(error)` is all that it prints, and `hint` may name the remedy."""

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


class LateFailure(HMPLineError):  # noqa: N818 (named for what it tells)
    """What a line began, its command having been taken, has failed. QEMU tells that on stderr.

    `reason` may be empty where nobody is told more.
    """

    def __init__(self, reason: str, hint: str | None) -> None:
        super().__init__(f"Error: {reason or 'it failed'}\n", hint)
        self.reason = reason


def execute(context: Context, name: str, arguments: dict[str, Any]) -> Any:
    """Run a QMP command: its result, or a task (a generator) that will have it. Raises `VMError`."""
    command = context.contract.find(name)
    if command is None:
        raise VMError(f"The command {name} has not been found", "CommandNotFound")
    limits = context.limits
    if limits is not None:
        limits.check_command(command)
    if not context.vm.initialized and not command.allow_preconfig:
        text = context.vm.release.text("too early", TOO_EARLY).format(name)
        raise VMError(text, hint=LEAVE_PRECONFIG)
    try:
        context.contract.check(name, arguments)
    except ArgumentError as error:
        raise VMError(str(error)) from None
    if limits is not None:
        limits.check_paths(name, arguments, context.vm.release)
    return handler(command.subject, name)(context, arguments)


def is_task(result: Any) -> bool:
    """Whether what `execute` returned still has to be run."""
    return hasattr(result, "send")


def run_hmp_line(context: Context, line: str, *, waits: bool = True) -> Task[str]:
    """Run an HMP line and return what it prints; raises `HMPLineError`.

    `waits` says whether whoever asks can wait for what a command such as `migrate` begins.
    """
    from ..commands.hmp import HMPError

    line = line.strip()
    twin = line.endswith(QMP_TWIN)
    if twin:
        line = line.removesuffix(QMP_TWIN)
    if not line:
        return ""
    name, rest, command = find_command(context, line)
    try:
        words = command.parse(rest, name)
        request, arguments = command.request(context.vm, words)
        if twin:
            return _twin_text(request, arguments)
        stamp = command.stamp(context.vm, words) if command.stamp is not None else None
        if stamp is not None:
            known = context.texts.get(line)
            if known is not None and known[0] == stamp:
                return known[1]
        result = execute(context, request, arguments)
        if is_task(result):
            result = yield from result
        text = command.render(result, words)
        if command.wait is not None:
            text += yield from _see_through(command.wait(context, words, waits))
        if stamp is not None:
            if len(context.texts) >= MOST_TEXTS:
                context.texts.clear()
            context.texts[line] = stamp, text
        return text
    except HMPError as error:
        raise HMPLineError(str(error)) from None
    except VMError as error:
        prefix = "" if error.qmp_class == "CommandNotFound" else "Error: "
        raise HMPLineError(f"{prefix}{error.full_text}\n", error.hint) from None


def ask_as_json(context: Context, line: str) -> Task[Any]:
    """Run the QMP command that an HMP line stands for and return its value; raises `HMPLineError`."""
    from ..commands.hmp import HMPError

    name, rest, command = find_command(context, line.strip())
    try:
        result = execute(context, *command.request(context.vm, command.parse(rest, name)))
        return (yield from result) if is_task(result) else result
    except HMPError as error:
        raise HMPLineError(str(error)) from None
    except VMError as error:
        raise HMPLineError(f"Error: {error.full_text}\n", error.hint) from None


def find_command(context: Context, line: str) -> tuple[str, str, HMPCommand]:
    """The name of a line's command as it is typed, what stands behind it, and the command; raises `HMPLineError`."""
    from ..commands import hmp_commands

    name, rest = _split_name(line)
    command = hmp_commands(context.vm.release).get(name)
    if command is None:
        raise HMPLineError(f"unknown command: '{name}'\n")
    if not context.vm.initialized and not command.preconfig:
        text = context.vm.release.text("too early for people", TOO_EARLY_FOR_PEOPLE).format(name)
        raise HMPLineError(text, LEAVE_PRECONFIG)
    return name, rest, command


def _see_through(task: Task[str]) -> Task[str]:
    try:
        return (yield from task)
    except VMError as error:
        raise LateFailure(str(error), error.hint) from None


def _split_name(line: str) -> tuple[str, str]:
    """The name of a line's command, `info` commands having two words, and the rest."""
    name, *rest = line.split(maxsplit=1)
    if "/" in name[1:]:  # as in xp/4xb
        name, slash, shown = name.partition("/")
        rest = [" ".join([slash + shown, *rest])]
    if name == "info" and rest:
        subject, *rest = rest[0].split(maxsplit=1)
        name = f"info {subject}"
    return name, rest[0] if rest else ""


def _twin_text(request: str, arguments: dict[str, Any]) -> str:
    from json import dumps

    return dumps({"execute": request, "arguments": arguments} if arguments else {"execute": request}) + "\n"
