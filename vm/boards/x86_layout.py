"""The devices of PC boards and their registers, as real QEMU has them with no optional device.

Rows stand in the order in which QEMU makes things: it decides numbers (`device[4]`) and who is seen where regions
overlap. `since` and `until` are the first and the last release that has a row, as far as releases were measured.
"""

from __future__ import annotations


class DeviceRow:
    """A device or bus; `key` names it in this file. `kvm_type` replaces it under KVM, `option` is the property that may
    omit it."""

    __slots__ = ("key", "kvm_type", "name", "option", "parent", "since", "type_name", "until")

    def __init__(
        self,
        key: str,
        type_name: str,
        *,
        kvm_type: str | None = None,
        parent: str = "",
        name: str = "device[*]",
        option: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self.key = key
        self.since = since
        self.until = until
        self.type_name = type_name
        self.kvm_type = kvm_type if kvm_type is not None else type_name
        self.parent = parent
        self.name = name
        self.option = option


class RegisterRow:
    """Registers of the device `key` (none: the board's own) in the I/O space, or within the region `inside`; where that
    is empty, the guest has not placed them yet."""

    __slots__ = (
        "address",
        "container",
        "enabled",
        "inside",
        "key",
        "kvm_name",
        "name",
        "port_list",
        "priority",
        "setting",
        "since",
        "size",
        "until",
    )

    def __init__(
        self,
        key: str,
        name: str,
        address: int,
        size: int,
        *,
        priority: int = 0,
        inside: str = "io",
        enabled: bool = True,
        kvm_name: str | None = None,
        setting: str | None = None,
        container: bool = False,
        port_list: bool = False,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self.key = key
        self.name = name
        self.setting = setting
        """The attribute of the machine that says whether its version has them already."""
        self.port_list = port_list
        """Whether they are one of several pieces that are placed together."""
        self.since = since
        self.until = until
        self.container = container
        """Whether it only holds the registers inside it."""
        self.address = address
        self.size = size
        self.priority = priority
        self.inside = inside
        self.enabled = enabled
        self.kvm_name = kvm_name if kvm_name is not None else name


KVM_CLOCK = DeviceRow("kvmclock", "kvmclock", option="kvm")


def bus(parent: str, type_name: str, name: str, option: str | None = None, since: str | None = None) -> DeviceRow:
    """A bus of the device `parent`."""
    return DeviceRow(f"{parent}/{name}", type_name, parent=parent, name=name, option=option, since=since)


def isa_devices(*, bridge: str | None = "isa-bridge", hpet: bool = True, floppy: bool = True) -> tuple[DeviceRow, ...]:
    """The devices that every PC has on its ISA bus; since QEMU 10.0 a `bridge` brings its DMA controllers and clock."""
    rows = [
        DeviceRow("dma0", "i8257", parent=bridge or "machine", name="dma[0]", since="10.0"),
        DeviceRow("dma1", "i8257", parent=bridge or "machine", name="dma[1]", since="10.0"),
        DeviceRow("rtc", "mc146818rtc", parent=bridge or "", name="rtc" if bridge else "device[*]", since="10.0"),
        DeviceRow("dma0", "i8257", since="7.2", until="7.2"),
        DeviceRow("dma1", "i8257", since="7.2", until="7.2"),
        DeviceRow("pic0", "isa-i8259", kvm_type="kvm-i8259", option="pic"),
        DeviceRow("pic1", "isa-i8259", kvm_type="kvm-i8259", option="pic"),
    ]
    if hpet:
        rows.append(DeviceRow("hpet", "hpet", option="hpet"))
    rows += (
        DeviceRow("rtc", "mc146818rtc", until="7.2"),
        DeviceRow("pit", "isa-pit", kvm_type="kvm-pit", option="pit"),
        DeviceRow("pcspk", "isa-pcspk", option="pit"),
        DeviceRow("dma0", "i8257", until="5.2"),
        DeviceRow("dma1", "i8257", until="5.2"),
    )
    if floppy:
        rows += (DeviceRow("fdc", "isa-fdc"), bus("fdc", "floppy-bus", "floppy-bus.0"))
    return (
        *rows,
        DeviceRow("i8042", "i8042", option="i8042"),
        bus("i8042", "ps2-kbd", "ps2kbd", "i8042", since="7.2"),
        bus("i8042", "ps2-mouse", "ps2mouse", "i8042", since="7.2"),
        DeviceRow("vmport", "vmport", option="vmport"),
        DeviceRow("vmmouse", "vmmouse", option="vmport"),
        DeviceRow("port92", "port92", option="i8042"),
    )


def _eeproms(option: str) -> tuple[DeviceRow, ...]:
    return tuple(DeviceRow(f"eeprom{number}", "smbus-eeprom", option=option) for number in range(8))


I440FX_DEVICES = (
    KVM_CLOCK,
    DeviceRow("host", "i440FX-pcihost", parent="machine", name="i440fx"),
    bus("host", "PCI", "pci.0"),
    DeviceRow("ioapic", "ioapic", kvm_type="kvm-ioapic", parent="host", name="ioapic"),
    DeviceRow("fw_cfg", "fw_cfg_io", parent="machine", name="fw_cfg"),
    DeviceRow("mch", "i440FX"),
    DeviceRow("isa-bridge", "PIIX3"),
    bus("isa-bridge", "ISA", "isa.0"),
    DeviceRow("ide", "piix3-ide", parent="isa-bridge", name="ide", since="10.0"),
    DeviceRow("uhci", "piix3-usb-uhci", parent="isa-bridge", name="uhci", option="usb", since="10.0"),
    DeviceRow("pm", "PIIX4_PM", parent="isa-bridge", name="pm", option="acpi", since="10.0"),
    *isa_devices(),
    DeviceRow("ide", "piix3-ide", until="7.2"),
    bus("ide", "IDE", "ide.0"),
    bus("ide", "IDE", "ide.1"),
    DeviceRow("uhci", "piix3-usb-uhci", option="usb", until="7.2"),
    bus("uhci", "usb-bus", "usb-bus.0", "usb"),
    DeviceRow("pm", "PIIX4_PM", option="acpi", until="7.2"),
    bus("pm", "i2c-bus", "i2c", "acpi"),
    *_eeproms("acpi"),
)

Q35_DEVICES = (
    KVM_CLOCK,
    DeviceRow("host", "q35-pcihost", parent="machine", name="q35"),
    bus("host", "PCIE", "pcie.0"),
    DeviceRow("mch", "mch", parent="host", name="mch"),
    DeviceRow("ioapic", "ioapic", kvm_type="kvm-ioapic", parent="host", name="ioapic"),
    DeviceRow("fw_cfg", "fw_cfg_io", parent="machine", name="fw_cfg"),
    DeviceRow("isa-bridge", "ICH9-LPC"),
    bus("isa-bridge", "ISA", "isa.0"),
    *isa_devices(floppy=False),
    DeviceRow("ahci", "ich9-ahci", option="sata"),
    *(bus("ahci", "IDE", f"ide.{number}", "sata") for number in range(6)),
    DeviceRow("ehci1", "ich9-usb-ehci1", option="usb"),
    bus("ehci1", "usb-bus", "usb-bus.0", "usb"),
    *(DeviceRow(f"uhci{number}", f"ich9-usb-uhci{number}", option="usb") for number in (1, 2, 3)),
    DeviceRow("smbus", "ICH9-SMB", option="smbus", since="7.2"),
    DeviceRow("smbus", "ICH9 SMB", option="smbus", until="5.2"),
    bus("smbus", "i2c-bus", "i2c", "smbus"),
    *_eeproms("smbus"),
)

I440FX_FUNCTIONS = {0x00: "mch", 0x08: "isa-bridge", 0x09: "ide", 0x0A: "uhci", 0x0B: "pm"}
Q35_FUNCTIONS = {
    0x00: "mch", 0xE8: "uhci1", 0xE9: "uhci2", 0xEA: "uhci3", 0xEF: "ehci1", 0xF8: "isa-bridge", 0xFA: "ahci",
    0xFB: "smbus",
}  # fmt: skip
"""Which PCI function of the root bus is which device."""

ISA_REGISTERS = (
    RegisterRow("kvmvapic", "kvmvapic", 0x7E, 2),
    RegisterRow("machine", "ioport80", 0x80, 1, since="11.1"),
    RegisterRow("machine", "ioportF0", 0xF0, 1, since="11.1"),
    RegisterRow("", "ioport80", 0x80, 1, until="10.0"),
    RegisterRow("", "ioportF0", 0xF0, 1, until="10.0"),
    RegisterRow("dma0", "dma-chan", 0x00, 8),
    RegisterRow("dma0", "dma-cont", 0x08, 8),
    RegisterRow("dma0", "dma-page", 0x81, 3, port_list=True),
    RegisterRow("dma0", "dma-page", 0x87, 1, port_list=True),
    RegisterRow("dma1", "dma-chan", 0xC0, 16),
    RegisterRow("dma1", "dma-cont", 0xD0, 16),
    RegisterRow("dma1", "dma-page", 0x89, 3, port_list=True),
    RegisterRow("dma1", "dma-page", 0x8F, 1, port_list=True),
    RegisterRow("pic0", "pic", 0x20, 2, kvm_name="kvm-pic"),
    RegisterRow("pic0", "elcr", 0x4D0, 1, kvm_name="kvm-elcr"),
    RegisterRow("pic1", "pic", 0xA0, 2, kvm_name="kvm-pic"),
    RegisterRow("pic1", "elcr", 0x4D1, 1, kvm_name="kvm-elcr"),
    RegisterRow("rtc", "rtc", 0x70, 2),
    RegisterRow("rtc", "rtc-index", 0, 1, inside="rtc"),
    RegisterRow("pit", "pit", 0x40, 4, kvm_name="kvm-pit"),
    RegisterRow("pcspk", "pcspk", 0x61, 1),
    RegisterRow("i8042", "i8042-data", 0x60, 1),
    RegisterRow("i8042", "i8042-cmd", 0x64, 1),
    RegisterRow("vmport", "vmport", 0x5658, 1),
    RegisterRow("port92", "port92", 0x92, 1),
    RegisterRow("fw_cfg", "fwcfg", 0x510, 2),
    RegisterRow("fw_cfg", "fwcfg.dma", 0x514, 8, setting="fw_cfg_dma"),
    RegisterRow("host", "pci-conf-idx", 0xCF8, 4),
    RegisterRow("host", "pci-conf-data", 0xCFC, 4),
    RegisterRow("hpet", "hpet", 0xFED00000, 0x400, inside="system"),
    RegisterRow("ioapic", "ioapic", 0xFEC00000, 0x1000, inside="system", kvm_name="kvm-ioapic"),
)

FLOPPY_REGISTERS = (
    RegisterRow("fdc", "fdc", 0x3F1, 5, port_list=True),
    RegisterRow("fdc", "fdc", 0x3F7, 1, port_list=True),
)

I440FX_REGISTERS = (
    RegisterRow("isa-bridge", "piix-reset-control", 0xCF9, 1, priority=1, since="10.0"),
    RegisterRow("isa-bridge", "piix3-reset-control", 0xCF9, 1, priority=1, until="7.2"),
    RegisterRow("", "ide", 0x1F0, 8, port_list=True),
    RegisterRow("", "ide", 0x3F6, 1, port_list=True),
    RegisterRow("", "ide", 0x170, 8, port_list=True),
    RegisterRow("", "ide", 0x376, 1, port_list=True),
    *FLOPPY_REGISTERS,
    RegisterRow("pm", "piix4-pm", 0, 0x40, enabled=False),
    RegisterRow("pm", "acpi-evt", 0, 4, inside="piix4-pm"),
    RegisterRow("pm", "acpi-cnt", 4, 2, inside="piix4-pm"),
    RegisterRow("pm", "acpi-tmr", 8, 4, inside="piix4-pm"),
    RegisterRow("pm", "apm-io", 0xB2, 2),
    RegisterRow("pm", "pm-smbus", 0xB100, 0x40),
    RegisterRow("pm", "acpi-gpe0", 0xAFE0, 4),
    RegisterRow("pm", "acpi-pci-hotplug", 0xAE00, 0x18, since="7.2"),
    RegisterRow("pm", "acpi-pci-hotplug", 0xAE00, 0x14, until="5.2"),
    RegisterRow("pm", "acpi-cpu-hotplug", 0xAF00, 12, since="11.1"),
    RegisterRow("pm", "acpi-cpu-hotplug", 0xAF00, 0x20, until="10.0"),
    RegisterRow("ide", "piix-bmdma-container", 0, 16, inside=""),
    RegisterRow("ide", "piix-bmdma", 0, 4, inside="piix-bmdma-container"),
    RegisterRow("ide", "bmdma", 4, 4, inside="piix-bmdma-container"),
    RegisterRow("ide", "piix-bmdma", 8, 4, inside="piix-bmdma-container"),
    RegisterRow("ide", "bmdma", 12, 4, inside="piix-bmdma-container"),
    RegisterRow("uhci", "uhci", 0, 0x20, inside=""),
)

Q35_REGISTERS = (
    RegisterRow("isa-bridge", "lpc-reset-control", 0xCF9, 1, priority=1),
    RegisterRow("isa-bridge", "apm-io", 0xB2, 2),
    RegisterRow("isa-bridge", "ich9-pm", 0, 0x80, enabled=False),
    RegisterRow("isa-bridge", "acpi-evt", 0, 4, inside="ich9-pm"),
    RegisterRow("isa-bridge", "acpi-cnt", 4, 2, inside="ich9-pm"),
    RegisterRow("isa-bridge", "acpi-tmr", 8, 4, inside="ich9-pm"),
    RegisterRow("isa-bridge", "acpi-gpe0", 0x20, 16, inside="ich9-pm"),
    RegisterRow("isa-bridge", "acpi-smi", 0x30, 8, inside="ich9-pm"),
    RegisterRow("isa-bridge", "sm-tco", 0x60, 0x20, inside="ich9-pm"),
    RegisterRow("isa-bridge", "acpi-pci-hotplug", 0xCC0, 0x18, setting="acpi_pci_hotplug"),
    RegisterRow("isa-bridge", "acpi-cpu-hotplug", 0xCD8, 12, since="11.1"),
    RegisterRow("isa-bridge", "acpi-cpu-hotplug", 0xCD8, 0x20, until="10.0"),
    RegisterRow("isa-bridge", "lpc-rcrb-mmio", 0, 0x4000, inside=""),
    RegisterRow("host", "pcie-mmcfg-mmio", 0, 256 << 20, inside=""),
    RegisterRow("ahci", "ahci", 0, 0x1000, inside=""),
    RegisterRow("ahci", "ahci-idp", 0, 32, inside=""),
    RegisterRow("ehci1", "ehci", 0, 0x1000, inside=""),
    RegisterRow("ehci1", "capabilities", 0, 16, inside="ehci"),
    RegisterRow("ehci1", "operational", 32, 68, inside="ehci"),
    RegisterRow("ehci1", "ports", 100, 24, inside="ehci"),
    *(RegisterRow(f"uhci{number}", "uhci", 0, 0x20, inside="") for number in (1, 2, 3)),
    RegisterRow("smbus", "pm-smbus", 0, 0x40, inside=""),
)

I440FX_BUS_MASTERS = ("mch", "isa-bridge", "ide", "uhci", "pm")
Q35_BUS_MASTERS = ("mch", "isa-bridge", "ahci", "ehci1", "uhci1", "uhci2", "uhci3", "smbus")
"""The PCI devices that access memory on their own: each has an address space of its type's name."""

PAM_SEGMENTS = ((0xF0000, 0x10000), *((0xC0000 + number * 0x4000, 0x4000) for number in range(12)))
"""Address and size of the segments whose reads and writes the chipset can turn to RAM."""
