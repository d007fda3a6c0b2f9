"""The devices of the ARM virt board and their places in memory, as real QEMU 7.2 has them with no optional device.

Rows stand in the order in which QEMU makes things: it decides numbers (`device[4]`).
"""

from __future__ import annotations

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


class DeviceRow:
    """A device at `address` with its registers: `(name, offset, size)` each.

    With an option, the device is there only where the board's `options` have it on; `secure` devices are seen by secure
    accesses only. `name` puts the device below the machine; without it, it is unattached.
    """

    __slots__ = ("address", "key", "name", "option", "registers", "secure", "type_name")

    def __init__(
        self,
        key: str,
        type_name: str,
        address: int = 0,
        registers: tuple[tuple[str, int, int], ...] = (),
        *,
        option: str | None = None,
        secure: bool = False,
        name: str | None = None,
    ) -> None:
        self.key = key
        self.type_name = type_name
        self.address = address
        self.registers = registers
        self.option = option
        self.secure = secure
        self.name = name


FLASH_SIZE = 64 * MIB
FLASHES = ("virt.flash0", "virt.flash1")
OTHER_SIZE = "cfi.pflash01 device '{}' requires {} bytes, pflash{} block backend provides {} bytes"
TWO_FIRMWARES = (
    "The contents of the first flash device may be specified with -bios or with -drive if=pflash... but you cannot use"
    " both options at once"
)
"""One after the other from address 0 on."""

SECURE_RAM_ADDRESS = 0xE000000
SECURE_RAM_SIZE = 16 * MIB
RAM_ADDRESS = GIB

GIC_ADDRESS = 0x8000000
GIC_CPU_ADDRESS = 0x8010000
GICV2M_ADDRESS = 0x8020000
GIC_VIFACE_ADDRESS = 0x8030000
GIC_VCPU_ADDRESS = 0x8040000
GICV3_ITS_ADDRESS = 0x8080000
GICV3_REDISTRIBUTORS_ADDRESS = 0x80A0000
GICV3_REDISTRIBUTORS_SIZE = 0xF60000
"""Room for redistributors below the other devices."""
HIGH_REDISTRIBUTORS_SIZE = 64 * MIB
CXL_HOST_SIZE = MIB
REDISTRIBUTOR_SIZE = {3: 128 * KIB, 4: 256 * KIB}
"""Bytes of one CPU's redistributor, by version of the GIC."""
MAX_GICV2_CPUS = 8

PCIE_MMIO_ADDRESS = 0x10000000
PCIE_MMIO_SIZE = 0x2EFF0000
PCIE_PIO_ADDRESS = 0x3EFF0000
PCIE_PIO_SIZE = 64 * KIB
PCIE_ECAM_ADDRESS = 0x3F000000
PCIE_ECAM_SIZE = 16 * MIB
HIGH_PCIE_ECAM_SIZE = 256 * MIB
HIGH_PCIE_MMIO_SIZE = 512 * GIB
HIGH_DEVICES_ADDRESS = 256 * GIB
"""Where the devices above the RAM begin, unless there is more of it."""

TRANSPORTS = 32
TRANSPORT_ADDRESS = 0xA000000
TRANSPORT_SIZE = 0x200

MEMORY_HOTPLUG_ADDRESS = 0x9070000
NVDIMM_ADDRESS = 0x9090000
MEMORY_HOTPLUG_SIZE = 0x18

PLATFORM_BUS_ADDRESS = 0xC000000
PLATFORM_BUS_SIZE = 32 * MIB

BEFORE_PCIE = (
    DeviceRow("uart", "pl011", 0x9000000, (("pl011", 0, 0x1000),)),
    DeviceRow("secure-uart", "pl011", 0x9040000, (("pl011", 0, 0x1000),), option="secure", secure=True),
    DeviceRow("rtc", "pl031", 0x9010000, (("pl031", 0, 0x1000),)),
)
AFTER_PCIE = (
    DeviceRow("ged", "acpi-ged", 0x9080000, (("acpi-ged", 0, 4),), option="acpi-ged"),
    DeviceRow("gpio", "pl061", 0x9030000, (("pl061", 0, 0x1000),), option="gpio"),
    DeviceRow("gpio-key", "gpio-key", option="gpio"),
    DeviceRow("secure-gpio", "pl061", 0x90B0000, (("pl061", 0, 0x1000),), option="secure-gpio", secure=True),
    DeviceRow("gpio-power", "gpio-pwr", option="secure-gpio"),
)
FIRMWARE_CONFIGURATION = DeviceRow(
    "fw_cfg",
    "fw_cfg_mem",
    0x9020000,
    (("fwcfg.ctl", 8, 2), ("fwcfg.data", 0, 8), ("fwcfg.dma", 16, 8)),
    name="fw_cfg",
)

CPU_ADDRESS_BITS = {
    "cortex-a7": 40,
    "cortex-a15": 40,
    "cortex-a35": 40,
    "cortex-a55": 40,
    "cortex-a72": 44,
    "cortex-a76": 40,
    "cortex-a710": 40,
    "a64fx": 40,
    "neoverse-n1": 48,
    "neoverse-v1": 48,
    "neoverse-n2": 48,
    "cortex-a53": 40,
    "cortex-a57": 44,
    "max": 52,
}
"""The CPU models that the board takes, and the bits of their physical addresses."""
CPUS_OF_32_BITS = ("cortex-a7", "cortex-a15")

ACPI_BLOBS = (
    ("/rom@etc/acpi/tables", 0x20000, 0x200000),
    ("/rom@etc/table-loader", 0x1000, None),
    ("/rom@etc/acpi/rsdp", 0x1000, 0x1000),
)
"""RAMBlocks of the ACPI tables for the firmware: name, used and reserved size, None being `table_loader_size`."""
ACPI_TABLES_PER_CPU = 105
ACPI_NUMA_TABLE = 48
ACPI_NUMA_PER_NODE = 40
ACPI_NUMA_PER_CPU = 18

HIGH_DEVICES = (
    ("redists", HIGH_REDISTRIBUTORS_SIZE),
    ("cxl", CXL_HOST_SIZE),
    ("ecam", HIGH_PCIE_ECAM_SIZE),
    ("mmio", HIGH_PCIE_MMIO_SIZE),
)
"""In the order of their addresses above the RAM; each is aligned to its own size."""
