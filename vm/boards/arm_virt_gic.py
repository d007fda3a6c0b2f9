"""The interrupt controller of the ARM virt board: which version it is, and where its registers are."""

from __future__ import annotations

from ..errors import VMError
from . import arm_virt_layout as layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .arm_virt import VirtMachine


NO_ROOM = "Capacity of the redist regions({}) does not match the number of vcpus({})"
NO_GICV4 = "tcg does not support GICv4 emulation, is virtualization=on?"


def choose_version(machine: VirtMachine) -> int:
    """Version of the interrupt controller; raises `VMError` if it cannot serve the CPUs."""
    version = 2
    if machine.gic_version == "host":
        raise VMError("gic-version=host requires KVM")
    if machine.gic_version == "max":
        version = 4 if machine.options["virtualization"] else 3
    elif machine.gic_version != "auto":
        version = int(machine.gic_version)
    elif machine.board.cpus > layout.MAX_GICV2_CPUS and machine.gicv3_for_more_cpus:
        version = 3
    if version == 4 and not machine.options["virtualization"]:
        raise VMError(machine.board.release.text("no GICv4", NO_GICV4))
    if version == 4 and not machine.has_lpis:
        version = 3
    maximum, remedy = layout.MAX_GICV2_CPUS, None
    if version > 2:
        size = layout.REDISTRIBUTOR_SIZE[version]
        low = layout.GICV3_REDISTRIBUTORS_SIZE // size
        maximum = low + layout.HIGH_REDISTRIBUTORS_SIZE // size
        if "redists" not in machine.high and machine.tells_of_redistributors:
            maximum, remedy = low, "Try 'highmem-redists=on' for more CPUs"
        elif low < machine.board.cpus <= maximum and not ("redists" in machine.high and machine.has_second_region):
            text = machine.board.release.text("redistributors", NO_ROOM)
            raise VMError(text.format(low, machine.board.cpus))
    if machine.smp["maxcpus"] > maximum:
        raise VMError(
            f"Number of SMP CPUs requested ({machine.smp['maxcpus']}) exceeds max CPUs supported by machine "
            f"'mach-virt' ({maximum})",
            details=remedy,
        )
    return version


def add_gic(machine: VirtMachine, version: int) -> None:
    """Put the interrupt controller in place, after the CPUs."""
    if version == 2:
        _add_gicv2(machine)
    else:
        _add_gicv3(machine, layout.REDISTRIBUTOR_SIZE[version])


def _add_gicv2(machine: VirtMachine) -> None:
    gic = machine.add_device("arm_gic")
    machine.place_registers(gic, "gic_dist", layout.GIC_ADDRESS, 0x1000)
    machine.place_registers(gic, "gic_cpu", layout.GIC_CPU_ADDRESS, 0x2000)
    for _ in machine.cpus:
        gic.own_region(machine.topology.io("gic_cpu", 0x100))
    if machine.options["virtualization"]:
        machine.place_registers(gic, "gic_viface", layout.GIC_VIFACE_ADDRESS, 0x1000)
        machine.place_registers(gic, "gic_vcpu", layout.GIC_VCPU_ADDRESS, 0x2000)
        for _ in machine.cpus:
            gic.own_region(machine.topology.io("gic_viface", 0x200))
    machine.place_registers(machine.add_device("arm-gicv2m"), "gicv2m", layout.GICV2M_ADDRESS, 0x1000)


def _add_gicv3(machine: VirtMachine, size: int) -> None:
    """`size` is that of one CPU's redistributor."""
    gic = machine.add_device("arm-gicv3")
    machine.place_registers(gic, "gicv3_dist", layout.GIC_ADDRESS, 0x10000)
    cpus = len(machine.cpus)
    low = min(cpus, layout.GICV3_REDISTRIBUTORS_SIZE // size)
    machine.place_registers(gic, "gicv3_redist_region[0]", layout.GICV3_REDISTRIBUTORS_ADDRESS, low * size)
    if cpus > low:
        machine.place_registers(gic, "gicv3_redist_region[1]", machine.high["redists"], (cpus - low) * size)
    if machine.has_lpis:
        machine.add_space("gicv3-its-sysmem", machine.system)
        if machine.options["its"]:
            _add_its(machine)


def _add_its(machine: VirtMachine) -> None:
    its = machine.add_device("arm-gicv3-its")
    frame = machine.topology.container("gicv3_its", 0x20000)
    for number, name in enumerate(("control", "translation")):
        machine.place(frame, number * 0x10000, machine.topology.io(name, 0x10000), its)
    machine.place(machine.system, layout.GICV3_ITS_ADDRESS, frame, its)
