"""The machine types of x86: which versions there are, and what each has different from its successor."""

from __future__ import annotations

from .machine_type import MachineType, version_settings
from .microvm import MicroVM
from .x86_machine import KIB
from .x86_pc import ACPI_LOADER, ACPI_TABLES, I440FXMachine, ISAMachine, Q35Machine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..releases import Release
    from .targets import Target

DEFAULT_CPU = {"x86_64": "qemu64", "i386": "qemu32"}
DEPRECATED = "old and unattended - use a newer version instead"
DEPRECATED_VERSIONS = ("1.7", "1.6", "1.5", "1.4")
Q35_OF_255_CPUS = ("2.7", "2.6", "2.5", "2.4")

I440FX_VERSIONS = (
    "7.1", "7.0", "6.2", "6.1", "6.0", "5.2", "5.1", "5.0", "4.2", "4.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10",
    "2.9", "2.8", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0", "1.7", "1.6", "1.5", "1.4",
)  # fmt: skip
Q35_VERSIONS = (
    "7.1", "7.0", "6.2", "6.1", "6.0", "5.2", "5.1", "5.0", "4.2", "4.1", "4.0.1", "4.0", "3.1", "3.0", "2.12", "2.11",
    "2.10", "2.9", "2.8", "2.7", "2.6", "2.5", "2.4",
)  # fmt: skip
"""The versions before the newest."""
NEWEST = "7.2"

CHANGES: dict[str, dict[str, Any]] = {
    "7.0": {"amd_hole": False},
    "6.1": {"prefers_sockets": True},
    "6.0": {"acpi_pci_hotplug": False},
    "5.0": {"numa_mem_supported": True, "implicit_node_with_max_ram": False},
    "3.1": {"canonical_ram_block_names": True},
    "2.10": {"implicit_node_with_slots": False},
    "2.4": {"fw_cfg_dma": False, "hole64_after_device_memory": False},
    "2.2": {"acpi_blobs": (ACPI_TABLES, ACPI_LOADER)},
    "2.1": {"spare_gib_per_slot": False},
    "2.0": {"memory_hotplug": False, "legacy_tables_size": 6980},
    "1.7": {
        "default_firmware": "",
        "firmware_size": 128 * KIB,
        "whole_gib_below_4g": False,
        "kvmvapic_rom": True,
        "legacy_tables_size": 6742,
    },
    "1.6": {"acpi_blobs": (), "kvmvapic_rom": False},
}
"""What a version has different from its successor."""


Q35_CHANGES: dict[str, dict[str, Any]] = {
    "4.0": {"kernel_devices": False},
    "3.1": {**CHANGES["3.1"], "kernel_devices": True},
}


def _settings(versions: tuple[str, ...], changes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return version_settings(NEWEST, {version: changes.get(version, {}) for version in versions})


def machine_types(target: Target, _release: Release) -> list[MachineType]:
    """The machine types of this family, as the target has them."""
    cpu_type = f"{DEFAULT_CPU[target.arch]}-{target.arch}-cpu"
    only_microvm = target.name == "x86_64-microvm"
    types = [
        MachineType(
            "microvm",
            MicroVM,
            "microvm (i386)",
            family="microvm_i386",
            default_ram_id="microvm.ram",
            default_cpu_type=cpu_type,
            max_cpus=288,
            is_default=only_microvm,
        )
    ]
    q35_settings = _settings(Q35_VERSIONS, {**CHANGES, **Q35_CHANGES})
    types += [_pc(f"pc-q35-{version}", settings, cpu_type) for version, settings in q35_settings.items()]
    if only_microvm:
        return types
    i440fx_settings = _settings(I440FX_VERSIONS, CHANGES)
    types += [_pc(f"pc-i440fx-{version}", settings, cpu_type) for version, settings in i440fx_settings.items()]
    types.append(
        MachineType(
            "isapc",
            ISAMachine,
            "ISA-only PC",
            default_ram_id="pc.ram",
            default_cpu_type=f"486-{target.arch}-cpu",
            max_cpus=1,
            hotpluggable_cpus=True,
        )
    )
    return types


def _pc(name: str, settings: dict[str, Any], cpu_type: str) -> MachineType:
    is_q35 = name.startswith("pc-q35")
    version = name.rpartition("-")[2]
    return MachineType(
        name,
        Q35Machine if is_q35 else I440FXMachine,
        "Standard PC (Q35 + ICH9, 2009)" if is_q35 else "Standard PC (i440FX + PIIX, 1996)",
        family="pc_q35" if is_q35 else "pc_piix",
        default_ram_id="pc.ram",
        alias=("q35" if is_q35 else "pc") if version == NEWEST else None,
        default_cpu_type=cpu_type,
        max_cpus=288 if is_q35 and version not in Q35_OF_255_CPUS else 255,
        hotpluggable_cpus=True,
        is_default=version == NEWEST and not is_q35,
        deprecated=DEPRECATED if version in DEPRECATED_VERSIONS else None,
        settings=settings,
    )
