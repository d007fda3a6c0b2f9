"""What helps after a refusal: the arithmetic that QEMU's text leaves to its reader.

Imported on failure alone. Where the facts are the host's, or known only where the mistake was found, the error brings
its hint along; here are the remedies that follow from the text and the command line. Where nothing certain is known
there is none.
"""

from __future__ import annotations

import re

from ..vm.sizes import exact_size, option_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..vm.config import Config
    from ..vm.machine import VirtualMachine

    Remedy = Callable[[re.Match[str], Config | None], str | None]

KIB = 1 << 10
MIB = 1 << 20


def remedy(text: str, hint: str | None = None, config: Config | None = None) -> str | None:
    """What helps after an error of that text, which may have brought a hint; `config` is the machine's."""
    if hint is not None:
        return hint
    text = text.removeprefix("Error: ")
    for pattern, find in REMEDIES.items():
        match = re.search(pattern, text)
        if match is not None:
            return find(match, config)
    return None


def unused_backends(vm: VirtualMachine) -> str | None:
    """What to say of memory backends that the start made and nothing uses; nothing where something may still do so."""
    machine = vm.machine
    if machine.ram is None or not vm.initialized or machine.ram_slots:
        return None
    unused = [backend for backend in vm.objects.backends() if not backend.in_use]
    if not unused:
        return None
    named = ", ".join(backend.name for backend in unused)
    is_used = "is the RAM" if machine.memory_backend_id is None else "is a NUMA node's"
    way = "-machine memory-backend=ID" if machine.memory_backend_id is None else "-numa node,memdev=ID"
    return f"nothing uses the memory of {named}; with {way} it {is_used}"


def _nearest(what: str, size: int, multiple: int) -> str:
    below = size // multiple * multiple
    legal = [below, below + multiple] if below else [multiple]
    return f"{what}{f' or {what}'.join(option_size(each) for each in legal)}"


def _aligned_ram(match: re.Match[str], config: Config | None) -> str | None:
    if config is None or not config.ram_size:
        return None
    return f"the nearest: {_nearest('-m ', config.ram_size, MIB)}"


def _aligned_maximum(match: re.Match[str], config: Config | None) -> str | None:
    if config is None or config.max_ram_size is None:
        return None
    multiple = int(match[1]) * (MIB if match[2] == "MiB" else 1)
    below = config.max_ram_size // multiple * multiple
    fitting = [size for size in (below, below + multiple) if config.ram_size is None or size >= config.ram_size]
    return f"the nearest: {' or '.join(f'maxmem={option_size(size)}' for size in fitting if size < 1 << 64)}"


def _fewer_bits(match: re.Match[str], config: Config | None) -> str | None:
    """Arm's boards have devices below their RAM, and so much room for it."""
    if config is None or config.ram_size is None:
        return None
    fits = (config.max_ram_size or config.ram_size) - int(match[2])
    room = f"at most {exact_size(fits)}" if fits > 0 else ""
    if config.machine_options.get("highmem") == "off":
        return f"highmem=on, or {room}" if room else "highmem=on"
    return f"{room} with the {match[1]} address bits of this CPU" if room else None


def _more_phys_bits(match: re.Match[str], _config: Config | None) -> str | None:
    bits = int(match[1], 16).bit_length()
    return f"-cpu MODEL,phys-bits={bits} reaches that far" if bits <= 52 else None


def _nodes_and_ram(match: re.Match[str], _config: Config | None) -> str:
    nodes, ram = int(match[1], 16), int(match[2], 16)
    if not nodes:
        return "no node has memory: -object memory-backend-ram,id=ID,size=SIZE -numa node,memdev=ID gives one"
    difference = f"they are {option_size(abs(nodes - ram))} too {'large' if nodes > ram else 'small'}"
    return f"-m {option_size(nodes)} fits the nodes; for -m {option_size(ram)} {difference}"


def _backend_size(_match: re.Match[str], config: Config | None) -> str | None:
    for arguments in config.objects if config is not None else ():
        if config is not None and arguments.get("id") == config.machine_options.get("memory-backend"):
            size = arguments.get("size")
            return f"-m {option_size(size)} is what the backend has; or leave -m out" if type(size) is int else None
    return None


def _known_backends(match: re.Match[str], config: Config | None) -> str:
    name, objects = match[1], config.objects if config is not None else ()
    known = [str(each["id"]) for each in objects if str(each.get("qom-type")).startswith("memory-backend-")]
    made = f"there are {', '.join(known)}" if known else "no -object makes a memory backend"
    return f"{made}; -object memory-backend-ram,id={name},size=SIZE would make it"


def _file_size(match: re.Match[str], _config: Config | None) -> str:
    return f"the file has {option_size(int(match[1], 16))}: size={option_size(int(match[1], 16))}, or a larger file"


def _whole_page(match: re.Match[str], _config: Config | None) -> str:
    page = int(match[2], 16)
    return f"size={option_size(page)}, or a multiple of it" if page > 4 * KIB else f"size={option_size(page)} or more"


def _other_type(match: re.Match[str], config: Config | None) -> str | None:
    from ..vm.known import object_type
    from ..vm.releases import find_release

    release = find_release(config.qemu if config is not None else None)
    return (
        f"QEMU {release.name} has objects of this type; they are not modelled"
        if object_type(match[1], release)
        else None
    )


def _other_machine(_match: re.Match[str], config: Config | None) -> str | None:
    """Which release has a machine type that this one has not."""
    from ..vm.boards import releases_with

    name = (config.machine_type or "") if config is not None else ""
    releases = releases_with(name, config.target if config is not None else None) if name else []
    return f"--qemu {releases[0]} has {name}" if releases else None


def _said(text: str) -> Remedy:
    return lambda match, _config: match.expand(text)


REMEDIES: dict[str, Remedy] = {
    r"^Addressing limited to (\d+) bits, but memory exceeds it by (\d+) bytes": _fewer_bits,
    r"^Address space limit \S+ < (0x\w+) phys-bits too low": _more_phys_bits,
    r"(?:^|^Node \d+ m|^M)emory size (0x\w+) is not aligned to 256 MiB": lambda match, _config: (
        f"the nearest: {_nearest('', int(match[1], 16), 256 * MIB)}"
    ),
    r"^Maximum memory size \S+ is not aligned to (\d+) (MiB)": _aligned_maximum,
    r"^maximum memory size must by aligned to multiple of (\d+) (bytes)": _aligned_maximum,
    r"^ram size must be multiples of 1 MiB": _aligned_ram,
    r"property 'size' of memory-backend-\w+ doesn't take value '0'": _said(
        "a memory backend has memory; leave memdev= out for a NUMA node without"
    ),
    r"^total memory for NUMA nodes \((0x\w+)\) should equal RAM size \((0x\w+)\)": _nodes_and_ram,
    r"Parameter -numa node,mem is not supported by this machine type": _said(
        "a backend for each node: -object memory-backend-ram,id=ID,size=SIZE -numa node,memdev=ID"
    ),
    r"^Machine memory size does not match the size of the memory backend": _backend_size,
    r"^Memory backend '(.+)' not found": _known_backends,
    r"maximum memory size \(0x\w+\) must be at least the initial memory size": _said(
        "maxmem is all of the memory: what -m gives, and what may be plugged"
    ),
    r"maximum memory size \(0x\w+\) is equal to the initial memory size": _said(
        "maxmem is all of the memory: what -m gives, and what may be plugged into the slots"
    ),
    r"^slots specified but no max-size": _said("maxmem=SIZE is missing: what -m gives, and what may be plugged"),
    r"backing store size (0x\w+) (?:does not match|is too small for) 'size' option": _file_size,
    r"^memory size (0x\w+) must be equal to or larger than page size (0x\w+)": _whole_page,
    r"^(?:can't use already busy memdev: |memory backend \S+ can't be used multiple times)": _said(
        "each NUMA node, and the machine, wants a memory backend of its own"
    ),
    r"Parameter 'qom-type' does not accept value '(.+)'": _other_type,
    r"invalid object type: (.+)": _other_type,
    r"unsupported machine type": _other_machine,
    r"^Invalid RAM size, should be (\d+) ([KMG])iB": _said(r"-m \1\2"),
}
"""By the error's text, which is QEMU's own."""
