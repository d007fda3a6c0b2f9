"""What each release of QEMU has different from the one after it, newest first; the newest is as the code is.

Subjects are the names of machine classes, whose entries are attributes (they yield to what a version of the machine
says), and what the modules name that ask `Release.settings` for them. Values are plain data. Rows of larger tables
(devices, schemas, options) say themselves with `since` and `until` which releases have them; what simple boards have
different is in `simple_boards`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "10.0": {
        # which machine types there are
        "oldest versions": {
            "pc-i440fx": "2.4",
            "pc-q35": "2.4",
            "virt": "2.6",
            "s390-ccw-virtio": "2.9",
            "pseries": "3.0",
        },
        "deprecated versions": {"until": "7.0"},
        # machines
        "ISAMachine": {"most_ram": None, "fitting_cpus": None, "has_nvdimm_registers": True},
        "VirtMachine": {"lists_default_cpu": True, "has_cxl": False},
        "LoongArchVirtMachine": {"fixed_tables_size": 5309},
        "RISCVMachine": {"tells_whole_place": False, "expects_whole_clusters": False},
        # targets and CPUs
        "targets": {
            **{name: {"arch": name} for name in ("mipsel", "mips64el", "sh4eb", "xtensaeb")},
            "avr": {"page_size": 256},
        },
        "x86 CPUs": {"most phys-bits": 52},
        "POWER CPUs": {"power11": ""},
        # objects
        "objects": {"monitors": False, "tells mapped": False},  # monitors are objects of users since
        "QOM": {"unknown containers": ("audiodevs",), "frugal tables": True},
        "devices": {"bad id": ""},  # nobody looks at an id that QMP gives
        # what is shown and said
        "mtree": {"containers": False},  # a region that nothing contains is i/o, too
        "JSON": {"places": False},  # mistakes are told without line and column
        "texts": {
            "GIC versions": "Valid values are 3, 2, host, max.",
            "who discards": "ram_block_discard_range",
            "chardev in use": "Device '{}' is in use",
            "dump while waiting": "Dump not allowed during incoming migration.",
        },
        "qtest": {"cuts ports": True},  # what reaches beyond the last port is read as far as there are ports
    },
    "7.2": {
        # which machine types there are
        "oldest versions": {"pc-i440fx": "1.4", "s390-ccw-virtio": "2.4", "pseries": "2.1"},
        "deprecated versions": {"until": "1.7", "reason": "old and unattended - use a newer version instead"},
        # machines
        "X86Machine": {"emulates_x2apic": False},
        "PCMachine": {
            "smbios_types": ("32", "64"),
            "checks_smbios": False,
            "vmport_needs_i8042": False,
            "smram_needs_smm": False,
            "hole_for_long_mode_only": False,
        },
        "I440FXMachine": {"pam_owner": "host", "shows_roms_early": False},
        "ISAMachine": {"checks_32bit_addresses": False},
        "MicroVM": {"firmware_size": 64 << 10},
        "VirtMachine": {
            "expects_whole_clusters": False,
            "lists_cpus": False,
            "gicv3_for_more_cpus": False,
            "tells_of_redistributors": False,
        },
        "PseriesMachine": {"most_threads": 1},
        "S390Machine": {"topology_levels": (), "plugs_memory": False, "least_ram": 0},
        "RISCVMachine": {"counted_cpus": "maxcpus"},
        "device memory": {"own space": False},
        # targets and CPUs
        "targets": {"s390x": {"plugged": False}, "ppc": {"plugged": True}, "loongarch64": {"page_size": 16384}},
        "smp": {"unknown": ("drawers", "books", "modules"), "zero warned": True, "beyond one": ""},
        "x86 CPUs": {"more of 32 bits": ("coreduo", "n270", "qemu32")},
        "POWER CPUs": {"power9": "power9_v2.0"},
        # objects
        "backends": {
            "file too small": "backing store size {file:#x} does not match 'size' option {size:#x}",
            "rounds files": True,
            "lenient reading": True,  # of a file that is absent, or of a directory
        },
        "QOM": {"unknown containers": ("backend", "audiodevs")},
        "devices": {
            "bad id": "Parameter 'id' expects an identifier",
            "values are texts": True,  # of QMP's device_add, as those of an option
            "address first": True,  # of an address and a size that are not aligned
            "lists defaults": False,
            "aliases by table": False,  # properties of a part as the whole's, in the order of its hash table
            "shows registers": False,  # of VirtIO devices, as an address space
        },
        # what is shown and said
        "mtree": {"port lists": False},
        "dirty rate": {
            "whole seconds": True,
            "modes with samples": ("page-sampling", "dirty-bitmap"),  # where a number of samples makes no mistake
            "since the host's start": True,  # the time when it began, not since 1970
        },
        "numbers": {
            "binary": False,  # 0b11 as 3, with the C library that the newer ones are built with
            "checks node sizes": False,  # too many MiB for a node are bytes
        },
        "texts": {
            "flash of another size": "device requires {1} bytes, block backend provides {3} bytes",
            "not pluggable": "Parameter 'driver' expects a pluggable device type",
            "empty dump": "Invalid parameter 'length'",
            "cannot be dumped": "this feature or command is not currently supported",
            "bad dump protocol": "Invalid parameter 'protocol'",
            "dump file": "Could not open '{}': {}",
            "no memory devices": "memory devices (e.g. for memory hotplug) are not enabled, please specify the "
            "maxmem option",
            "memory stays": "virtio based memory devices cannot be unplugged.",
            "balloon size": "target",
            "who discards": "",  # nobody looks at the file behind memory
            "no memslots": "hypervisor has no free memory slots left",
            "behind the limit": "",
            "no CPU hotplug": "The feature 'query-hotpluggable-cpus' is not enabled",
            "unsupported machine": "unsupported machine type\nUse -machine help to list supported machines",
            "reserved id": "object name '{}' is reserved for the default RAM backend, it can't be used for any other "
            "purposes. Change the object's 'id' to something else",
            "samples without sampling": "either sample-pages or dirty-ring can be specified.",
            "no device": "{} is not a hotpluggable device",
            'Unable to find the RISC-V BIOS "{}"': 'Unable to load the RISC-V firmware "{}"',
            "no GICv4": "gic-version=4 requires virtualization enabled",
            "hyperthreading": "This family of AMD CPU doesn't support hyperthreading({})\n"
            "Please configure -smp options properly or try enabling topoext feature.",
            "too much firmware": "User specified max allowed firmware size {} is greater than 16MiB. If combined "
            "firwmare size exceeds 16MiB the system may not boot, or experience intermittentstability issues.",
        },
        "qtest": {
            "intercepts": True,  # also of devices without interrupt lines
            "clock refuses": False,
            "bare errors": True,  # in the log
        },
    },
    "5.2": {
        # which machine types there are
        "oldest versions": {"pc-i440fx": "1.0"},
        "deprecated versions": {"until": "1.3", "reason": "use a newer machine type instead", "mark": ""},
        # machines
        "Machine": {"prefers_sockets": True, "lays_out_asked_size": True},
        "X86Machine": {"emulates_x2apic": True, "table_loader_size": 0x1000},
        "PCMachine": {"checks_addresses": False, "needs_interrupt_remapping": True},
        "MicroVM": {"catches_pci": False},
        "VirtMachine": {
            "has_second_region": False,
            "places_by_threads": True,
            "places_by_limit": False,
            "gic_versions": ("2", "3", "host", "max"),
            "ecam_region_size": 512 << 20,
            "table_loader_size": 0x1000,
            "exact_acpi_tables": 5830,
        },
        "S390Machine": {"checks_increments": False},
        "PseriesMachine": {
            "max_cpus": 1024,
            "watchdogs": 0,
            "own_cpu_models": (),
            "told_without_guest": "Memory hot unplug not supported for this guest",
            "maps_address_zero": False,
            "tells_nvdimms": False,
        },
        # targets and CPUs
        "targets": {
            "ppc": {"plugged": False},
            "mips": {"plugged": True},
            "mipsel": {"arch": "mipsel", "plugged": True},
            "mips64": {"plugged": True},
            "mips64el": {"arch": "mips64el", "plugged": True},
        },
        "smp": {"old": True, "unknown": ("drawers", "books", "modules", "clusters")},
        "Arm CPUs": {"max": 48},
        "POWER CPUs": {"power10": "power10_v1.0"},
        # objects
        "backends": {"warns of pmem": False},
        "devices": {
            "follows paths": False,
            "busy first": True,
            "numbers are integers": False,
            "holders have ids": False,  # of PCI functions
            "names registers": False,  # of VirtIO devices, each by its device
        },
        "objects": {
            # Arguments of object-add have no types, ids need not be identifiers.
            "set as given": True,
            "identifiers": False,
            "refused types": {
                "unknown": "invalid object type: {}",
                "abstract": "object type '{}' is abstract",
                "other": "object type '{}' isn't supported by object-add",
            },
        },
        "type names": {"memory-region": "qemu:memory-region"},
        # what is shown and said
        "mtree": {"shared roots": False},  # each address space with a tree of its own
        "run states": {"before the board": "preconfig"},
        "events": {"after answers": ("RESET", "SHUTDOWN")},  # told when the command was answered
        "options": {
            "told with mistakes": True,  # which the machine finds
            "flat properties": True,  # of machines: memory.size is a name, not a part of memory
            "short-form warnings": False,
        },
        "texts": {
            "second node": "Duplicate node name",
            "no configuration": "read config {0}: {1}",
            "no RAM there": "Memory at address {:#x}is not RAM",
            "not pluggable": "Parameter 'driver' expects pluggable device type",
            "no system device": "Option '-device {}' cannot be handled by this machine",
            "empty dump": "dump: no guest memory to dump",
            "hosts": "KVM",
            "redistributors": "VGICv3 redist region number(2) not equal to 1",
            "backend of another size": "Size specified by -m option must match size of explicitly specified "
            "'memory-backend' property",
            "no x2APIC": "apic initialization failed. APIC ID {} is invalid",
            "slots without maxmem": "invalid -m option value: missing 'maxmem' option",
            "maxmem": "-m option maxmem",
            "bad value": "Invalid parameter '{value}'",
            "no device type": "Parameter 'typename' expects device",
            "abstract device type": "Parameter 'typename' expects non-abstract device type",
            "duplicate device": "Duplicate ID '{}' for device",
            "too early": "The command '{}' isn't permitted in 'preconfig' state",
            "too early for people": "Command '{}' not available with -preconfig until after exit_preconfig.\n",
            "too late to initialize": "The command is permitted only in 'preconfig' state",
            "too late for nodes": "The command is permitted only in 'preconfig' state",
            "unwritable": "Insufficient permission to perform this operation",
            "unreadable": "Insufficient permission to perform this operation",
        },
        "qtest": {"absolute times": True},  # of a client's coming, in the log
    },
}
