"""The CPUs of pseries: which models it has cores of, what those can do, and where they are in the tree."""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..releases import Release
    from .pseries import PseriesMachine

CPU_ALIASES = {
    "970": "970_v2.2",
    "970mp": "970mp_v1.1",
    "power5+": "power5+_v2.1",
    "power5gs": "power5+_v2.1",
    "power7": "power7_v2.3",
    "power7+": "power7+_v2.1",
    "power8": "power8_v2.0",
    "power8e": "power8e_v2.1",
    "power8nvl": "power8nvl_v1.0",
    "power9": "power9_v2.2",
    "power10": "power10_v2.0",
    "power11": "power11_v2.0",
}
"""What the short names of CPU models stand for; the board has a core for each of these, and for each version of
those."""

XIVE_CPUS = ("power9", "power10", "power11")
TRANSACTIONAL_CPUS = ("power8", *XIVE_CPUS)


def cpu_aliases(release: Release) -> dict[str, str]:
    """What the short names of models stand for in a release."""
    changed = CPU_ALIASES | release.settings("POWER CPUs")
    return {name: model for name, model in changed.items() if model}


def cpu_model(machine: PseriesMachine) -> str:
    """The model of the CPUs by its full name, in lower case."""
    cpu_type = machine.board.cpu_type
    if cpu_type == "max-powerpc64-cpu" and "max" in machine.own_cpu_models:
        cpu_type = machine.machine_type.default_cpu_type or ""
    model = cpu_type.removesuffix("-powerpc64-cpu").lower()
    return cpu_aliases(machine.board.release).get(model, model)


def check_cpus(machine: PseriesMachine) -> None:
    """Decide on the CPUs and what interrupts them; raises `VMError` for what the board does not take."""
    model = cpu_model(machine)
    machine.board.cpu_type = f"{model}-powerpc64-cpu"
    family = model.partition("_")[0]
    if family not in cpu_aliases(machine.board.release):
        raise VMError("Unable to find sPAPR CPU Core definition")
    has_xive = family in XIVE_CPUS
    if machine.ic_mode == "xive" and not has_xive:
        raise VMError("XIVE-only machines require a POWER9 CPU")
    machine.has_xive = has_xive and machine.ic_mode in ("xive", "dual")
    machine.has_xics = machine.ic_mode != "xive"
    machine.cap_htm = machine.cap_htm and family.startswith(TRANSACTIONAL_CPUS)
    if not machine.plugs_cpus and machine.smp["maxcpus"] != machine.smp["cpus"]:
        raise VMError("This machine version does not support CPU hotplug")
    _check_threads(machine, family)


def _check_threads(machine: PseriesMachine, family: str) -> None:
    threads, most = machine.smp["threads"], machine.most_threads
    if threads > most:
        many = f"{most} thread" if most == 1 else f"{most} threads"
        raise VMError(f"TCG cannot support more than {many}/core on a pseries machine")
    if threads & threads - 1:
        raise VMError(f"Cannot support {threads} threads/core on a pseries machine because it must be a power of 2")
    if threads > 1 and not family.startswith(TRANSACTIONAL_CPUS):
        raise VMError("TCG only supports SMT on POWER8 or newer CPUs")
    if machine.smp["cpus"] % threads:
        raise VMError(f"smp_cpus ({machine.smp['cpus']}) must be multiple of threads ({threads})")


def add_cpus(machine: PseriesMachine) -> None:
    """Put the cores in place, with their threads."""
    threads = machine.smp["threads"]
    for number in range(machine.board.cpus):
        if number % threads == 0:
            core = machine.add_device(machine.slot_type)
        cpu = machine.add_device(machine.board.cpu_type, core, f"thread[{number % threads}]")
        if machine.has_xics:
            machine.add_device("icp", cpu, "icp")
        if machine.has_xive:
            machine.add_device("xive-tctx", cpu, "xive-tctx")
        machine.cpus.append(cpu)
        machine.add_space(f"cpu-memory-{number}", machine.system)
