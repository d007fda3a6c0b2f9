"""The PCI Express of the ARM virt board: its host bridge, and where CPUs see it."""

from __future__ import annotations

from . import arm_virt_layout as layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion
    from ..qom import QOMObject
    from .arm_virt import VirtMachine


def add_pcie(machine: VirtMachine) -> QOMObject:
    """Put the bridge and its windows in place, and return the bus."""
    host = machine.add_device("gpex-pcihost")
    bus = machine.add_device("PCIE", host, "pcie.0")
    bridge = machine.add_device("gpex-root", host, "gpex_root")
    ecam = host.own_region(machine.topology.io("pcie-mmcfg-mmio", machine.ecam_region_size))
    mmio = host.own_region(machine.topology.container("gpex_mmio"))
    ports = host.own_region(machine.topology.container("gpex_ioport", layout.PCIE_PIO_SIZE))
    if machine.has_pcie_windows:
        mmio = _add_window(machine, "gpex_mmio_window", mmio, host)
        ports = _add_window(machine, "gpex_ioport_window", ports, host)
    machine.system.add_subregion(layout.PCIE_PIO_ADDRESS, ports)

    def add_alias(name: str, target: MemoryRegion, address: int, offset: int, size: int) -> None:
        machine.place(machine.system, address, machine.topology.alias(name, target, offset, size), host)

    high = machine.high.get("ecam")
    address, size = (high, layout.HIGH_PCIE_ECAM_SIZE) if high else (layout.PCIE_ECAM_ADDRESS, layout.PCIE_ECAM_SIZE)
    add_alias("pcie-ecam", ecam, address, 0, size)
    add_alias("pcie-mmio", mmio, layout.PCIE_MMIO_ADDRESS, layout.PCIE_MMIO_ADDRESS, layout.PCIE_MMIO_SIZE)
    high = machine.high.get("mmio")
    if high:
        add_alias("pcie-mmio-high", mmio, high, high, machine.high_mmio_size)
    container = bridge.own_region(machine.topology.container("bus master container"))
    master = machine.topology.alias("bus master", machine.system, 0, machine.system.size)
    machine.place(container, 0, master, bridge, enabled=False)
    machine.add_space("gpex-root", container)
    return bus


def _add_window(machine: VirtMachine, name: str, behind: MemoryRegion, owner: QOMObject) -> MemoryRegion:
    """Registers that answer where nothing in `behind` does."""
    window = owner.own_region(machine.topology.io(name, behind.size))
    window.add_subregion(0, behind)
    return window
