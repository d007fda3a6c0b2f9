"""Migration: memory that goes to another machine, or comes from one."""

from __future__ import annotations

from ..vm.errors import VMError
from ..vm.migration.address import address_of_channels, parse_address
from .hmp import Flag, HMPCommand, Word, fixed
from .migration_text import PARAMETER_KINDS, info_text, parameters_text, parse_parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.migration.address import Address
    from ..vm.steps import Task
    from . import Arguments, Context

NOT_PAUSED = "Migrate recover can only be run when postcopy is paused."
NOT_ENABLED = "Enable postcopy with migrate_set_capability before the start of migration"
ALWAYS = None, None
COUNTED = {
    "skipped": (None, "8.2"),
    "precopy-bytes": ("7.0", None),
    "downtime-bytes": ("7.0", None),
    "postcopy-bytes": ("7.0", None),
    "dirty-sync-missed-zero-copy": ("7.1", None),
}
"""The first and the last release that counts something."""
TIMED = ("active", "pre-switchover", "device", "cancelling", "cancelled", "completed", "failed")
"""Statuses of migrations that had begun to copy, if they did."""


def migrate(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Begin to send the machine; goes on by itself."""
    vm = context.vm
    if arguments.get("resume"):
        raise VMError("Cannot resume if there is no paused migration")
    if arguments.get("blk") or arguments.get("inc"):
        raise VMError("there are no disks here whose contents could be migrated")
    try:
        address = _address(context, arguments)
    except VMError as error:
        if not vm.release.covers("8.2"):
            vm.migration.refuse(str(error), kept="valid migration protocol" not in str(error))
        raise
    context.program.start_task(vm.migration.start(address))
    return {}


def _address(context: Context, arguments: Arguments, *, incoming: bool = False) -> Address:
    release = context.vm.release
    uri, channels = arguments.get("uri"), arguments.get("channels")
    if (uri is None) == (channels is None):
        raise VMError("need either 'uri' or 'channels' argument")
    if uri is not None:
        return parse_address(uri, release, incoming=incoming)
    return address_of_channels(channels or [], release)


def migrate_incoming(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Wait for a source, where that was put off."""
    vm = context.vm
    if vm.config.incoming is None:
        deferred = "'-incoming' was not specified on the command line"
        raise VMError(deferred if vm.release.covers("6.0") else "For use with '-incoming defer'")
    if vm.config.incoming != "defer" or vm.run_state.name != "inmigrate":
        already = "The incoming migration has already been started"
        raise VMError(already if vm.release.covers("6.0") else "For use with '-incoming defer'")
    address = _address(context, arguments, incoming=True)
    context.program.start_task(vm.migration.wait_for(address, exit_on_error=arguments.get("exit-on-error", True)))
    return {}


def migrate_cancel(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Stop sending."""
    context.vm.migration.cancel()
    return {}


def migrate_continue(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Go on from where it waits."""
    context.vm.migration.proceed(arguments["state"])
    return {}


def migrate_pause(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Refused: there is no postcopy."""
    states = "postcopy-active or postcopy-recover" if context.vm.release.covers("8.2") else "postcopy-active"
    raise VMError(f"migrate-pause is currently only supported during {states} state")


def migrate_recover(_context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Refused: there is no postcopy."""
    raise VMError(NOT_PAUSED)


def migrate_start_postcopy(_context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Refused: there is no postcopy."""
    raise VMError(NOT_ENABLED)


def migrate_set_capabilities(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Switch capabilities on and off."""
    wanted = {entry["capability"]: entry["state"] for entry in arguments["capabilities"]}
    context.vm.migration.set_capabilities(wanted)
    return {}


def query_migrate_capabilities(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """Which are on."""
    return [{"state": state, "capability": name} for name, state in context.vm.migration.capabilities.items()]


def migrate_set_parameters(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Set parameters."""
    context.vm.migration.set_parameters(arguments)
    return {}


def query_migrate_parameters(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """How they are set."""
    return dict(context.vm.migration.parameters)


def query_migrate(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """How far it is, or how it ended."""
    migration, vm = context.vm.migration, context.vm
    found: dict[str, Any] = {}
    incoming = migration.incoming
    if incoming is not None and incoming.listener is not None and vm.run_state.name == "inmigrate":
        found["socket-address"] = [_socket_address(incoming.listener.place)]
    if migration.status == "none":
        return found
    if vm.config.incoming is not None and not migration.statistics.passes:
        if migration.status == "setup" and not vm.release.covers("8.0"):
            return found
        return {"status": migration.status, **found, **({"error-desc": migration.error} if migration.error else {})}
    found["status"] = migration.status
    if migration.status == "failed" and migration.error:
        found["error-desc"] = migration.error
    if migration.status in TIMED and migration.statistics.passes and migration.status != "failed":
        _describe_copy(context, found)
    return found


def _describe_copy(context: Context, found: dict[str, Any]) -> None:
    migration, vm = context.vm.migration, context.vm
    statistics = migration.statistics
    if migration.status == "cancelled":
        return
    found["setup-time"] = statistics.setup_milliseconds
    found["total-time"] = statistics.total_milliseconds
    if migration.status == "completed":
        found["downtime"] = statistics.downtime_milliseconds
    else:
        found["expected-downtime"] = migration.expected_downtime
        if vm.release.covers("11.0"):
            found["remaining"] = max(statistics.remaining, 0)
    if migration.throttle:
        found["cpu-throttle-percentage"] = migration.throttle
    described = statistics.describe(vm.page_size, counts_all=vm.release.covers("8.1"))
    found["ram"] = {name: value for name, value in described.items() if vm.release.covers(*COUNTED.get(name, ALWAYS))}


def _socket_address(place: tuple[str, int] | str) -> dict[str, str]:
    if isinstance(place, str):
        return {"path": place, "type": "unix"}
    return {"host": place[0], "port": str(place[1]), "type": "inet"}


def query_migration_devices(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """What goes behind the memory."""
    from ..vm.migration.devices import run_state_in, sections

    migration = context.vm.migration
    if migration.devices is None:
        return {"bytes": 0, "sections": []}
    found = sections(migration.devices, footers=migration.has_footers)
    described: dict[str, Any] = {
        "source": migration.devices_source,
        "bytes": len(migration.devices),
        "sections": [
            {
                "name": section.name,
                "instance": section.instance,
                "version": section.version,
                "size": section.end - section.start,
            }
            for section in found
        ],
    }
    run_state = run_state_in(migration.devices, footers=migration.has_footers)
    return described if run_state is None else described | {"run-state": run_state}


def migration_devices_load(context: Context, arguments: Arguments) -> Any:
    """Take the devices of a stream in a file; a task, for the file may be large."""
    from ..vm.migration.template import read_devices

    migration = context.vm.migration

    def task() -> Any:
        found = yield lambda cancellation: read_devices(migration, arguments["filename"], cancellation)
        migration.devices, migration.live_devices = found
        migration.devices_source = arguments["filename"]
        return {}

    return task()


# The text of HMP


def _render_capabilities(result: list[dict[str, Any]], _words: Any) -> str:
    return "".join(f"{entry['capability']}: {'on' if entry['state'] else 'off'}\n" for entry in result)


def _render_devices(result: dict[str, Any], _words: Any) -> str:
    from ..vm.sizes import size_to_str

    if not result["bytes"]:
        return "no state of devices: a destination gets memory, and the run state\n"
    head = f"{result['bytes']} bytes from {result['source']}, run state {result.get('run-state', 'unknown')}\n"
    return head + "".join(
        f"  {section['name']} (instance {section['instance']}, version {section['version']}): "
        f"{size_to_str(section['size'])}\n"
        for section in result["sections"]
    )


def _set_capability_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = words["capability"]
    if name not in vm.migration.capabilities:
        raise VMError(f"invalid parameter value: {name}")
    return "migrate-set-capabilities", {"capabilities": [{"capability": name, "state": words["state"] == "on"}]}


def _set_parameter_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    name = words["parameter"]
    if name not in vm.migration.parameters or name not in PARAMETER_KINDS:
        raise VMError(f"invalid parameter value: {name}")
    return "migrate-set-parameters", {name: parse_parameter(name, words["value"], vm.release)}


def _migrate_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "migrate", {"uri": words["uri"], **{name: True for name in ("blk", "inc", "resume") if words.get(name)}}


def _see_through(context: Context, words: dict[str, Any], waits: bool) -> Task[str]:
    from .migration_wait import CANNOT_WAIT, wait_for_end

    if words.get("detach"):
        return ""
    if not waits:
        return "" if context.vm.release.covers("11.0") else CANNOT_WAIT
    yield from wait_for_end(context)
    return ""


def _incoming_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if vm.release.covers("8.2"):  # for people it is read before anything else is looked at
        parse_address(words["uri"], vm.release, incoming=True)
    return "migrate-incoming", {"uri": words["uri"]}


def _info_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    words["release"] = vm.release
    words["configured"] = vm.migration.has_footers
    words["switchover"] = vm.migration.sends_switchover_start
    return "query-migrate", {}


def _parameters_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    words["release"] = vm.release
    return "query-migrate-parameters", {}


HMP = (
    HMPCommand(
        "migrate",
        _migrate_request,
        help="migrate to URI (using -d to not wait for completion)\n"
        "\t\t\t -b for migration without shared storage with full copy of disk\n"
        "\t\t\t -i for migration without shared storage with incremental copy of disk (base image shared "
        "between src and destination)\n"
        "\t\t\t -r to resume a paused migration",
        syntax="[-d] [-b] [-i] [-r] uri",
        parameters=(Flag("d", "detach"), Flag("b", "blk"), Flag("i", "inc"), Flag("r", "resume"), Word("uri")),
        wait=_see_through,
        until="8.2",
        example='migrate -d "exec:cat > saved"',
    ),
    HMPCommand(
        "migrate",
        _migrate_request,
        help="migrate to URI (using -d to not wait for completion)\n\t\t\t -r to resume a paused postcopy migration",
        syntax="[-d] [-r] uri",
        parameters=(Flag("d", "detach"), Flag("r", "resume"), Word("uri")),
        wait=_see_through,
        since="9.1",
        example='migrate -d "exec:cat > saved"',
    ),
    HMPCommand("migrate_cancel", fixed("migrate_cancel"), help="cancel the current VM migration"),
    HMPCommand(
        "migrate_incoming",
        _incoming_request,
        help="Continue an incoming migration from an -incoming defer",
        syntax="uri",
        parameters=(Word("uri"),),
        example="migrate_incoming unix:stream",
    ),
    HMPCommand(
        "migrate_continue",
        lambda _vm, words: ("migrate-continue", {"state": words["state"]}),
        help="Continue migration from the given paused state",
        syntax="state",
        parameters=(Word("state", "migration-state"),),
        example="migrate_continue pre-switchover",
    ),
    HMPCommand("migrate_pause", fixed("migrate-pause"), help="Pause an ongoing migration (postcopy-only)"),
    HMPCommand(
        "migrate_recover",
        lambda _vm, words: ("migrate-recover", {"uri": words["uri"]}),
        help="Continue a paused incoming postcopy migration",
        syntax="uri",
        parameters=(Word("uri"),),
        example="migrate_recover unix:stream",
    ),
    HMPCommand(
        "migrate_start_postcopy",
        fixed("migrate-start-postcopy"),
        help="Followup to a migration command to switch the migration to postcopy mode. The "
        "postcopy-ram capability must be set on both source and destination before the original migration command .",
    ),
    HMPCommand(
        "migrate_set_capability",
        _set_capability_request,
        help="Enable/Disable the usage of a capability for migration",
        syntax="capability state",
        parameters=(Word("capability", "migration-capability"), Word("state", "switch")),
        example="migrate_set_capability multifd on",
    ),
    HMPCommand(
        "migrate_set_parameter",
        _set_parameter_request,
        help="Set the parameter for migration",
        syntax="parameter value",
        parameters=(Word("parameter", "migration-parameter"), Word("value")),
        example="migrate_set_parameter max-bandwidth 100M",
    ),
    HMPCommand("info migrate", _info_request, info_text, help="show migration status", until="10.0"),
    HMPCommand(
        "info migrate",
        _info_request,
        info_text,
        help="show migration status (-a: all, dump all status)",
        syntax="[-a]",
        parameters=(Flag("a", "all"),),
        since="11.0",
        example="info migrate -a",
    ),
    HMPCommand(
        "info migrate_capabilities",
        fixed("query-migrate-capabilities"),
        _render_capabilities,
        help="show current migration capabilities",
    ),
    HMPCommand(
        "info migrate_parameters",
        _parameters_request,
        parameters_text,
        help="show current migration parameters",
    ),
    HMPCommand(
        "info migrate_devices",
        fixed("query-migration-devices"),
        _render_devices,
        help="show the state of devices that goes with the memory",
    ),
    HMPCommand(
        "migrate_devices",
        lambda _vm, words: ("migration-devices-load", {"filename": words["filename"]}),
        help="take the state of devices from a stream in a file",
        syntax="filename",
        parameters=(Word("filename", "path"),),
        example="migrate_devices saved",
    ),
)
