"""What can be asked at all, and HMP through QMP."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, Word, fixed, take_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.steps import Task
    from . import Arguments, Context


def qmp_capabilities(_context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Nothing to negotiate in a script or at the console; a recorded session may begin with it all the same."""
    return {}


def query_commands(context: Context, _arguments: Arguments) -> list[dict[str, str]]:
    """The names of all QMP commands that the client may use."""
    limits = context.limits
    return [
        {"name": name}
        for name, command in context.contract.commands().items()
        if limits is None or limits.permits(command)
    ]


def query_command_line_options(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """The groups of options with their keys; raises `VMError` if there is no group of that name."""
    from ..vm.known import option_groups

    wanted = arguments.get("option")
    found = [
        {"option": name, "parameters": [_parameter(*key) for key in keys]}
        for name, keys in option_groups(context.vm.target.name, context.vm.release)
        if wanted in (None, name)
    ]
    if wanted is not None and not found:
        raise VMError(f"invalid option name: {wanted}")
    return found


def _parameter(name: str, kind: str, default: str) -> dict[str, str]:
    told = {"name": name, "type": kind}
    return {**told, "default": default} if default else told


def query_qmp_schema(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """The description of all commands, events and types."""
    return context.contract.introspect()


def human_monitor_command(context: Context, arguments: Arguments) -> Task[str]:
    """Run an HMP line; the text has CRLF line ends, as QEMU's."""
    if not 0 <= arguments.get("cpu-index", 0) < len(context.vm.machine.cpus) and "cpu-index" in arguments:
        raise VMError("Parameter 'cpu-index' expects a CPU number")
    text = yield from context.program.run_hmp(context, arguments["command-line"])
    if text.isascii():  # of bytes, many are replaced in a third of the time
        return text.encode().replace(b"\n", b"\r\n").decode()
    return text.replace("\n", "\r\n")


def query_hint(context: Context, _arguments: Arguments) -> dict[str, str]:
    """What the client's last error was, and what would help."""
    if context.failure is None:
        return {}
    from .remedies import remedy

    hint = remedy(str(context.failure), getattr(context.failure, "hint", None), context.vm.config)
    known = {"error": str(context.failure).removeprefix("Error: ").rstrip("\n")}
    return known if hint is None else {**known, "hint": hint}


def query_hmp_commands(context: Context, arguments: Arguments) -> list[dict[str, str]]:
    """The help lines of HMP commands: of all but `info`'s own, of `info`'s own, or of one."""
    from . import available_hmp_commands

    commands = available_hmp_commands(context.vm)
    name = arguments.get("name")
    if name is not None and name != "info":
        if name not in commands:
            raise VMError(f"unknown command: '{name}'", "CommandNotFound")
        chosen = {commands[name]}
    else:
        chosen = {command for command in commands.values() if command.name.startswith("info ") == (name == "info")}
    return [{"name": command.name, "help": command.help_line} for command in sorted(chosen, key=lambda c: c.name)]


def _render_hint(result: dict[str, str], _words: Any) -> str:
    if "error" not in result:
        return "no command failed\n"
    return f"{result['error']}\nhint: {result['hint']}\n" if "hint" in result else f"{result['error']}\nno hint\n"


def _help_request(_vm: Any, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    topic = words.get("topic", "")
    if not topic:
        return "query-hmp-commands", {}
    name, rest = take_word(topic)
    if name == "info" and rest:
        name = f"info {take_word(rest)[0]}"
    return "query-hmp-commands", {"name": name}


def _render_help(result: list[dict[str, str]], _words: Any) -> str:
    return "".join(command["help"] for command in result)


HMP = (
    HMPCommand(
        "info hint",
        fixed("query-hint"),
        _render_hint,
        help="show what would help after the last error",
        preconfig=True,
    ),
    HMPCommand(
        "help",
        _help_request,
        _render_help,
        help="show the help",
        syntax="[cmd]",
        parameters=(Word("topic", "hmp-command", optional=True, rest=True),),
        aliases=("?",),
        preconfig=True,
        example="help info mtree",
    ),
    HMPCommand(
        "info",
        lambda _vm, _words: ("query-hmp-commands", {"name": "info"}),
        _render_help,
        help="show various information about the system state",
        syntax="[subcommand]",
        preconfig=True,
    ),
)
