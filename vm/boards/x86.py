"""The machine types of x86: which versions there are, and what each has different from its successor."""

from __future__ import annotations

from .isapc import ISAMachine
from .machine_type import MachineType
from .microvm import MicroVM
from .versions import Version, family_versions, release_settings
from .x86_machine import KIB
from .x86_pc import ACPI_LOADER, ACPI_TABLES, I440FXMachine, PCMachine, Q35Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..releases import Release
    from .targets import Target

DEFAULT_CPU = {"x86_64": "qemu64", "i386": "qemu32"}
OLD_NAMES = ("1.3", "1.2", "1.1", "1.0")
"""Versions whose names do not have the chipset."""

OLD_CIRRUS = {"cirrus-vga/vga.vram": 8 << 20}
OLD_VGAS = {"VGA/vga.vram": 8 << 20, "vmware-svga/vga.vram": 8 << 20}
OLD_ROMS = {
    f"{name}.rom": 128 * KIB
    for name in ("e1000/e1000", "virtio-net-pci/virtio-net-pci", "rtl8139/rtl8139", "ne2k_pci/ne2000", "pcnet/pcnet")
}

CHANGES: dict[str, dict[str, Any]] = {
    "9.0": {"copies_flash": True},
    "8.2": {"smbios": "64"},
    "8.1": {"checks_32bit_addresses": False},
    "8.0": {"smbios": "32"},
    "7.0": {"amd_hole": False},
    "6.1": {"prefers_sockets": True},
    "6.0": {"acpi_pci_hotplug": False},
    "5.0": {"numa_mem_supported": True, "implicit_node_with_max_ram": False},
    "3.1": {"canonical_ram_block_names": True},
    "2.12": {"global_vga_memory": True},
    "2.10": {"implicit_node_with_slots": False},
    "2.6": {"legacy_cpu_hotplug": True},
    "2.4": {"fw_cfg_dma": False, "hole64_after_device_memory": False},
    "2.2": {"acpi_blobs": (ACPI_TABLES, ACPI_LOADER)},
    "2.1": {"spare_gib_per_slot": False, "dimm_alignment": 4096, "default_vga": "cirrus-vga", "card_sizes": OLD_CIRRUS},
    "2.0": {"memory_hotplug": False, "legacy_tables_size": 6980},
    "1.7": {
        "default_firmware": "",
        "firmware_size": 128 * KIB,
        "whole_gib_below_4g": False,
        "kvmvapic_rom": True,
        "legacy_tables_size": 6742,
    },
    "1.6": {"acpi_blobs": (), "kvmvapic_rom": False, "legacy_cpu_hotplug": False, "pci_path": "0000"},
    "1.5": {"pci_path": "0000:00"},
    "1.4": {"card_sizes": OLD_CIRRUS | OLD_ROMS},
    "1.1": {"card_sizes": OLD_CIRRUS | OLD_ROMS | OLD_VGAS},
    "1.0": {"kvmvapic": False},
}
"""What a version has different from its successor."""


Q35_CHANGES: dict[str, dict[str, Any]] = {
    "8.2": {**CHANGES["8.2"], "max_cpus": 1024},
    "8.0": {**CHANGES["8.0"], "max_cpus": 288},
    "4.0": {"kernel_devices": False},
    "3.1": {**CHANGES["3.1"], "kernel_devices": True},
    "2.11": {"default_nic": "e1000"},
    "2.7": {"max_cpus": 255},
}


def machine_types(target: Target, release: Release) -> Iterator[MachineType]:
    """The machine types of this family, as the target has them."""
    cpu_type = f"{DEFAULT_CPU[target.arch]}-{target.arch}-cpu"
    only_microvm = target.name == "x86_64-microvm"
    yield MachineType(
        "microvm",
        MicroVM,
        "microvm (i386)",
        family="microvm_i386",
        default_ram_id="microvm.ram",
        default_cpu_type=cpu_type,
        max_cpus=288,
        is_default=only_microvm,
        settings=release_settings(MicroVM, release),
    )
    for version in family_versions("pc-q35", Q35Machine, release, {**CHANGES, **Q35_CHANGES}):
        yield _pc("pc-q35", Q35Machine, version, cpu_type)
    if only_microvm:
        return
    for version in family_versions("pc-i440fx", I440FXMachine, release, CHANGES):
        yield _pc("pc-i440fx", I440FXMachine, version, cpu_type)
    yield MachineType(
        "isapc",
        ISAMachine,
        "ISA-only PC",
        default_ram_id="pc.ram",
        default_cpu_type=f"486-{target.arch}-cpu",
        max_cpus=1,
        hotpluggable_cpus=True,
        settings=release_settings(ISAMachine, release),
    )


def _pc(family: str, machine: type[PCMachine], version: Version, cpu_type: str) -> MachineType:
    is_q35 = machine is Q35Machine
    return MachineType(
        f"{family}-{version.name}" if version.name not in OLD_NAMES else f"pc-{version.name}",
        machine,
        "Standard PC (Q35 + ICH9, 2009)" if is_q35 else "Standard PC (i440FX + PIIX, 1996)",
        family="pc_q35" if is_q35 else "pc_piix",
        default_ram_id="pc.ram",
        alias=("q35" if is_q35 else "pc") if version.is_newest else None,
        default_cpu_type=cpu_type,
        max_cpus=version.settings.get("max_cpus", machine.max_cpus),
        hotpluggable_cpus=True,
        is_default=version.is_newest and not is_q35,
        deprecated=version.deprecated,
        settings=version.settings,
    )
