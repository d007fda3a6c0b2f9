"""What of a real QEMU's commands only reads: the rest is sent to no QEMU that was attached without `-write`.

A command that is not named here is one that may change something, or write files of the host.
"""

from __future__ import annotations

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

QMP_READS = frozenset(
    {
        *("qom-list", "qom-list-get", "qom-list-types", "qom-list-properties", "qom-get", "device-list-properties"),
        *("trace-event-get-state", "x-debug-query-block-graph", "qmp_capabilities"),
    }
)
"""Beside all that begin with `query-` or `x-query-`."""
QMP_QUERIES_THAT_CHANGE = {"query-rx-filter": "it lets the network card tell its next change"}
HMP_READS = frozenset(
    {
        *("info", "help", "?", "x", "xp", "print", "p", "gpa2hva", "gpa2hpa", "gva2gpa", "sum", "qom-list", "qom-get"),
        *("why", "what_if"),  # ramslot's own, where one is attached
    }
)
WAY_OUT = "-write (or --write) lets it through"


def check_request(command: str, arguments: dict[str, Any]) -> None:
    """Raise `VMError` if a QMP request might change something."""
    if command == "human-monitor-command":
        check_line(str(arguments.get("command-line", "")))
        return
    reason = QMP_QUERIES_THAT_CHANGE.get(command)
    if reason is None and (command.startswith(("query-", "x-query-")) or command in QMP_READS):
        return
    raise VMError(f"{command} is not sent: attached to read only{f', and {reason}' if reason else ''}", hint=WAY_OUT)


def check_line(line: str) -> None:
    """Raise `VMError` if an HMP line might change something."""
    name = hmp_name(line)
    if name and name not in HMP_READS:
        raise VMError(f"{name} is not sent: attached to read only", hint=WAY_OUT)


def hmp_name(line: str) -> str:
    """The command of an HMP line as QEMU finds it: up to a blank, or to the slash of a format."""
    words = line.split(maxsplit=1)
    name = words[0] if words else ""
    return name[:1] + name[1:].partition("/")[0]
