"""What this machine may ask of its host: who was promised what, what fills the mounts, and what will not fit."""

from __future__ import annotations

from ..vm.sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.host import Host
    from ..vm.host.description import HostDescription, MountDescription
    from ..vm.hostmem.backend import MemoryBackend
    from ..vm.machine import VirtualMachine
    from ..vm.memory.ramblock import RAMBlock


def promised(host: Host, block: RAMBlock, backend: MemoryBackend | None) -> int:
    """Bytes that the host counted when this was mapped: of what may be written, private or without a file, and in
    ordinary pages. Files in memory count page by page as they come. Source: the kernel's vm/overcommit-accounting."""
    memory = block.host
    if memory.page_size > host.page_size or memory.readonly or (backend is not None and not backend.reserve):
        return 0
    in_file = backend is not None and backend.backing_path is not None
    return 0 if in_file and memory.share else memory.size


def host_load(vm: VirtualMachine, described: HostDescription, users: list[dict[str, Any]]) -> dict[str, Any]:
    """The members of `query-host` about this; `users` are all of the machine's memories, with what is resident."""
    paths = {backend.name: path for backend in vm.objects.backends() if (path := backend.backing_path) is not None}
    mounts, on_disk = [], set(paths)
    for mount in described.mounts:
        on_it = [user for user in users if _mount_of(paths.get(user.get("id", "")), described.mounts) is mount]
        on_disk -= {user["id"] for user in on_it}
        mounts.append(_mount(vm.host, described, mount, on_it))
    in_memory = [user for user in users if user["page-size"] == described.page_size and user.get("id") not in on_disk]
    asked = sum(user["size"] for user in in_memory)
    return {"mounts": mounts, "asked": asked, "notes": _notes(described, mounts, in_memory, asked)}


def _mount_of(path: str | None, mounts: list[MountDescription]) -> MountDescription | None:
    """The mount that has a file: the longest that its path begins with."""
    around = [mount for mount in mounts if path is not None and f"{path}/".startswith(f"{mount.path.rstrip('/')}/")]
    return max(around, key=lambda mount: len(mount.path), default=None)


def _mount(
    host: Host, described: HostDescription, mount: MountDescription, users: list[dict[str, Any]]
) -> dict[str, Any]:
    page_size = described.page_size
    if mount.type == "hugetlbfs":
        page_size = mount.page_size or described.default_huge_page_size or page_size
    known: dict[str, Any] = {"path": mount.path, "type": mount.type, "page-size": page_size}
    if mount.size is not None:
        known["size"] = mount.size
    free = host.free_space(mount.path)
    if free is not None:
        known["free"] = free
    known["users"] = [user["id"] for user in users]
    known["asked"] = sum(user["size"] for user in users)
    known["resident"] = sum(each["size"] for user in users for each in user["resident"])
    return known


def _notes(
    described: HostDescription, mounts: list[dict[str, Any]], in_memory: list[dict[str, Any]], asked: int
) -> list[str]:
    """What will not fit when all memory is touched."""
    notes = []
    there = sum(node.memory - node.huge_memory for node in described.nodes) + described.overcommit.swap
    if asked > there:
        named = ", ".join(f"{user.get('id', user['ramblock'])} {size_to_str(user['size'])}" for user in in_memory)
        swap = " and swap" if described.overcommit.swap else ""
        notes.append(
            f"{size_to_str(asked)} may be touched ({named}), and the host has {size_to_str(there)} of ordinary "
            f"memory{swap}: {size_to_str(asked - there)} too many"
        )
    for mount in mounts:
        left = mount["asked"] - mount["resident"]
        free = mount.get("free")
        if free is not None and left > free:
            notes.append(
                f"{', '.join(mount['users'])} may still fill {size_to_str(left)} of {mount['path']}, which has "
                f"{size_to_str(free)} left: {size_to_str(left - free)} too many"
            )
    return notes


def mount_lines(result: dict[str, Any]) -> list[str]:
    """The mounts, a line each, with what is left of them and which memories fill them."""
    lines = []
    for mount in result["mounts"]:
        size = f" of {size_to_str(mount['size'])}" if "size" in mount else ""
        if mount["page-size"] != result["page-size"]:
            size += f" with pages of {size_to_str(mount['page-size'])}"
        free = f", {size_to_str(mount['free'])} free" if "free" in mount else ""
        filled = ""
        if mount["users"]:
            named = ", ".join(mount["users"])
            filled = f"; {named}: {size_to_str(mount['resident'])} of {size_to_str(mount['asked'])} filled"
        lines.append(f"{mount['path']}: {mount['type']}{size}{free}{filled}")
    return lines
