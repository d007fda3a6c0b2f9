"""microvm: no PCI unless asked for, virtio devices in memory, little else."""

from __future__ import annotations

from ..qom import Property, take_bool
from .machine import switch
from .x86_layout import KVM_CLOCK, DeviceRow, RegisterRow, bus
from .x86_machine import GIB, KIB, MIB, X86Machine, kept

VIRTIO_BASE = 0xFEB00000
VIRTIO_DEVICES = 8
"""How many virtio devices one I/O APIC can serve; the second serves the others."""
ALL_VIRTIO_DEVICES = 24
NEEDS_ACPI = ("ioapic2", "pcie", "usb")
"""What the guest can find only in ACPI tables, so that it is there only with them."""
XHCI_BASE = 0xFE900000
PCI_WINDOW = 0xC0000000, 512 * MIB
PCI_HIGH_WINDOW = 768 * GIB, 256 * GIB
PCI_ECAM = 0xE0000000, 256 * MIB


def _virtio_devices() -> tuple[DeviceRow, ...]:
    rows = []
    for number in range(ALL_VIRTIO_DEVICES):
        key, option, since = f"virtio{number}", None, None
        if number >= VIRTIO_DEVICES:
            option, since = "ioapic2", "7.2"
        rows += [
            DeviceRow(key, "virtio-mmio", option=option, since=since),
            bus(key, "virtio-mmio-bus", f"virtio-mmio-bus.{number}", option, since),
        ]
    return tuple(rows)


def _usb_ports(*kinds: int, since: str | None = None, until: str | None = None) -> tuple[RegisterRow, ...]:
    names = [f"usb{kind} port #{number}" for kind in kinds for number in range(1, 9)]
    return tuple(
        RegisterRow("xhci", name, 0x440 + 0x10 * number, 0x10, inside="xhci", since=since, until=until)
        for number, name in enumerate(names)
    )


class MicroVM(X86Machine):
    """RAM up to 3 GiB below 4 GiB, the rest above; firmware that is plain memory."""

    newest_cpu_models = True
    topology_levels = ()
    switch_defaults = {"rtc": "auto", "ioapic2": "auto", "pcie": "auto"}
    kept_defaults = {"auto-kernel-cmdline": True, "isa-serial": True, "x-option-roms": True}
    kernel_devices = False
    catches_pci = True
    """Whether PCI accesses that no device answers are caught."""
    firmware_size = 128 * KIB
    plain_firmware_size = 64 * KIB
    """Of the firmware that knows no ACPI."""
    firmware_is_rom = False
    acpi_blobs = (
        ("/rom@etc/acpi/tables", 0x1000, 2 * MIB),
        ("/rom@etc/table-loader", 0x1000, None),
        ("/rom@etc/acpi/rsdp", 0x1000, 0x1000),
    )
    devices = (
        DeviceRow("fw_cfg", "fw_cfg_io", parent="machine", name="fw_cfg"),
        DeviceRow("isa-bridge", "isabus-bridge"),
        bus("isa-bridge", "ISA", "isa.0"),
        DeviceRow("ioapic", "ioapic", parent="machine", name="ioapic"),
        DeviceRow("ioapic2", "ioapic", option="ioapic2", since="7.2"),
        KVM_CLOCK,
        *_virtio_devices(),
        DeviceRow("ged", "acpi-ged", option="acpi", since="10.0"),
        DeviceRow("ged", "acpi-ged-x86", option="acpi", until="7.2"),
        DeviceRow("usb", "sysbus-xhci", option="usb"),
        DeviceRow("xhci", "base-xhci", parent="usb", name="xhci-core", option="usb"),
        bus("usb", "usb-bus", "usb-bus.0", "usb"),
        DeviceRow("pcie", "gpex-pcihost", option="pcie"),
        DeviceRow("pcie-root", "gpex-root", parent="pcie", name="gpex_root", option="pcie"),
        bus("pcie", "PCIE", "pcie.0", "pcie"),
        DeviceRow("pic0", "isa-i8259", option="pic"),
        DeviceRow("pic1", "isa-i8259", option="pic"),
        DeviceRow("pit", "isa-pit", option="pit"),
        DeviceRow("rtc", "mc146818rtc", option="rtc"),
    )
    registers = (
        RegisterRow("kvmvapic", "kvmvapic", 0x7E, 2),
        RegisterRow("pic0", "pic", 0x20, 2),
        RegisterRow("pic0", "elcr", 0x4D0, 1),
        RegisterRow("pic1", "pic", 0xA0, 2),
        RegisterRow("pic1", "elcr", 0x4D1, 1),
        RegisterRow("pit", "pit", 0x40, 4),
        RegisterRow("rtc", "rtc", 0x70, 2),
        RegisterRow("rtc", "rtc-index", 0, 1, inside="rtc"),
        RegisterRow("fw_cfg", "fwcfg", 0x510, 2),
        RegisterRow("fw_cfg", "fwcfg.dma", 0x514, 8),
        RegisterRow("ioapic", "ioapic", 0xFEC00000, 0x1000, inside="system"),
        RegisterRow("ioapic2", "ioapic", 0xFEC10000, 0x1000, inside="system"),
        *(
            RegisterRow(f"virtio{number}", "virtio-mmio", VIRTIO_BASE + number * 0x200, 0x200, inside="system")
            for number in range(ALL_VIRTIO_DEVICES)
        ),
        RegisterRow("ged", "acpi-ged", 0xFEA00000, 4, inside="system"),
        RegisterRow("ged", "acpi-ged-regs", 0xFEA00200, 3, inside="system"),
        RegisterRow("ged", "memhp container", 0, 0x18, inside="", container=True),
        RegisterRow("xhci", "xhci", XHCI_BASE, 0x4000, inside="system", container=True),
        RegisterRow("xhci", "capabilities", 0, 0x40, inside="xhci"),
        RegisterRow("xhci", "operational", 0x40, 0x400, inside="xhci"),
        *_usb_ports(3, 2, since="10.0"),
        *_usb_ports(2, 3, until="7.2"),
        RegisterRow("xhci", "runtime", 0x1000, 0x220, inside="xhci"),
        RegisterRow("xhci", "doorbell", 0x2000, 0x820, inside="xhci"),
        RegisterRow("pcie", "pcie-mmcfg-mmio", 0, PCI_ECAM[1], inside="", since="7.2"),
        RegisterRow("pcie", "pcie-mmcfg-mmio", 0, 2 * PCI_ECAM[1], inside="", until="5.2"),
        RegisterRow("pcie", "gpex_ioport", 0, 0x10000, inside="", until="5.2"),
        RegisterRow("pcie", "gpex_ioport_window", 0, 0x10000, inside="", since="7.2"),
        RegisterRow("pcie", "gpex_ioport", 0, 0x10000, inside="gpex_ioport_window", since="7.2"),
    )
    bus_masters = ("pcie-root",)
    system_devices = ("ramfb",)
    pci_bus = "pcie/pcie.0"
    pci_functions = {0: "pcie-root"}  # as in the tables

    def is_on(self, option: str | None) -> bool:
        """What is `auto` follows from the rest, and some needs ACPI."""
        if option in NEEDS_ACPI and not self.is_on("acpi"):
            return False
        if option is not None and self.switches.get(option) == "auto":
            if option == "rtc":
                return not self.board.accelerated
            return option != "pcie"
        return super().is_on(option)

    def build(self) -> None:
        """Put everything in place, the RAM first as with QEMU, so that slots get the same numbers."""
        self.check_cpus()
        if not self.is_on("acpi"):
            self.firmware_size = self.plain_firmware_size
        with self.topology.transaction():
            self.add_cpus()
            self.place_ram_parts(min(self.board_ram_size, 3 * GIB), 4 * GIB)
        with self.topology.transaction():
            self.add_devices()
            if self.ram_slots and "ged" in self.parts:
                hotplug = self.topology.io("acpi-mem-hotplug", 0x18)
                self.place(self.regions["memhp container"], 0, hotplug, self.parts["ged"])
            self.add_firmware(self.system)
            self.add_local_apics()
            self.add_smm_spaces(None)
            if self.is_on("pcie"):
                self._add_pci_windows()
            self.add_bus_masters()

    def _add_pci_windows(self) -> None:
        host = self.parts["pcie"]
        bus_memory = host.own_region(self.topology.container("gpex_mmio"))
        window = bus_memory
        if self.catches_pci:
            window = host.own_region(self.topology.io("gpex_mmio_window", self.system.size))
            window.add_subregion(0, bus_memory)
        for name, target, offset, (start, size) in (
            ("pcie-mmio32", window, PCI_WINDOW[0], PCI_WINDOW),
            ("pcie-mmio64", window, PCI_HIGH_WINDOW[0], PCI_HIGH_WINDOW),
            ("pcie-ecam", self.regions["pcie-mmcfg-mmio"], 0, PCI_ECAM),
        ):
            self.place(self.system, start, self.topology.alias(name, target, offset, size), host)

    registered_names: tuple[str, ...] = ("pcie", "rtc", "ioapic2", "isa-serial", "x-option-roms", "auto-kernel-cmdline")
    properties: tuple[Property, ...] = (
        switch("pit", "Enable i8254 PIT", until="5.2"),
        switch("pic", "Enable i8259 PIC", until="5.2"),
        switch("ioapic2", "Enable second IO-APIC", since="7.2"),
        kept(
            "auto-kernel-cmdline",
            "bool",
            lambda _machine, name, value: take_bool(name, value),
            "Set off to disable adding virtio-mmio devices to the kernel cmdline",
        ),
        switch("rtc", "Enable MC146818 RTC"),
        switch("pcie", "Enable PCIe"),
        kept(
            "x-option-roms",
            "bool",
            lambda _machine, name, value: take_bool(name, value),
            "Set off to disable loading option ROMs",
        ),
        kept(
            "isa-serial",
            "bool",
            lambda _machine, name, value: take_bool(name, value),
            "Set off to disable the instantiation an ISA serial port",
        ),
    )
