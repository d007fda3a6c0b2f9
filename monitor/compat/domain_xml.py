"""The command line that libvirt makes of a domain's XML, as far as memory depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from ...vm.boards import find_machine_type
from ...vm.errors import VMError
from ...vm.known.distributions import upstream_machine
from ...vm.releases import find_release
from .nearest import nearest_release
from .pasted import VERSION_IN_PATH, CommandLine

UNITS: dict[str, int] = {
    **dict.fromkeys(("b", "bytes"), 1),
    **{f"{unit}": 1000 ** (power + 1) for power, unit in enumerate(("KB", "MB", "GB", "TB"))},
    **{f"{unit}iB": 1024 ** (power + 1) for power, unit in enumerate("KMGT")},
    **{unit: 1024 ** (power + 1) for power, unit in enumerate("KMGT")},
}
"""libvirt's names of sizes; without one a size is in KiB."""
NICS = {"virtio": "virtio-net-pci", "virtio-transitional": "virtio-net-pci"}
VIDEOS = {"vga": "VGA", "qxl": "qxl-vga", "cirrus": "cirrus-vga", "virtio": "virtio-vga", "vmvga": "vmware-svga"}
BRIDGES = {
    "pcie-to-pci-bridge": "pcie-pci-bridge",
    "dmi-to-pci-bridge": "i82801b11-bridge",
    "pcie-switch-upstream-port": "x3130-upstream",
    "pcie-switch-downstream-port": "xio3130-downstream",
    "pcie-expander-bus": "pxb-pcie",
    "pci-expander-bus": "pxb",
}
"""QEMU's names of libvirt's controllers."""
NOT_TOLD = "not-told"
DEFAULT_HUGE_PAGE = 2 << 20
MODULES = {"dimm": "pc-dimm", "nvdimm": "nvdimm", "virtio-mem": "virtio-mem-pci", "virtio-pmem": "virtio-pmem-pci"}


def read_domain(text: str, version: str | None = None) -> CommandLine:
    """The command line of a domain, or of the first in a snapshot's or status' XML; raises `VMError`."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise VMError(f"this is no XML: {error}") from None
    domain = root if root.tag == "domain" else root.find(".//domain")
    if domain is None:
        raise VMError("this XML describes no domain")
    kind = domain.find("os/type")
    if kind is None or not kind.get("machine"):
        raise VMError("the domain's <os> names no machine type")
    try:
        return _Domain(domain, kind, version).command_line()
    except (ValueError, KeyError) as error:
        raise VMError(f"the domain has a size that is none: {error}") from None


class _Domain:
    def __init__(self, domain: ElementTree.Element, kind: ElementTree.Element, version: str | None) -> None:
        self._domain = domain
        self._machine = kind.get("machine", "")
        self._architecture = {"i686": "i386", "armv7l": "arm"}.get(kind.get("arch", ""), kind.get("arch", "x86_64"))
        self._emulator = domain.findtext("devices/emulator") or ""
        told = VERSION_IN_PATH.search(self._emulator)
        self._version = version or (told[1] if told is not None else None)
        self._modules = domain.findall("devices/memory")
        self._cells = domain.findall("cpu/numa/cell")

    def command_line(self) -> CommandLine:
        words = ["-nodefaults", *self._size(), *self._memory(), *self._plugged(), *self._bridges(), *self._others()]
        return CommandLine(f"qemu-system-{self._architecture}", tuple(words), self._version)

    def _size(self) -> Iterator[str]:
        most = self._domain.find("maxMemory")
        plugged = sum(_size(module.find("target/size")) for module in self._modules)
        total = _size(self._domain.find("memory"))
        first = sum(_attribute_size(cell, "memory") for cell in self._cells) or total - plugged
        yield "-m"
        yield f"size={first}B" + (f",slots={most.get('slots', '0')},maxmem={_size(most)}B" if most is not None else "")
        cpus = (self._domain.findtext("vcpu") or "1").strip()
        yield "-smp"
        yield cpus
        self._first = first

    def _memory(self) -> Iterator[str]:
        """The machine with its RAM: one backend with the name that the board gives it, or one for each node."""
        machine = self._machine
        flash = self._domain.find("os/loader[@type='pflash']")
        efi = self._domain.find("os[@firmware='efi']")
        extra = ",pflash0=libvirt-pflash0-format" if flash is not None or efi is not None else ""
        rom = self._domain.find("os/loader[@type='rom']")
        if rom is not None and rom.text:
            yield from ("-bios", rom.text.strip())
        if any(module.get("model") == "nvdimm" for module in self._modules):
            extra += ",nvdimm=on"
        if self._cells:
            yield from ("-machine", machine + extra)
            for number, cell in enumerate(self._cells):
                name = f"ram-node{cell.get('id', number)}"
                size, shared = _attribute_size(cell, "memory"), cell.get("memAccess")
                yield from ("-object", self._backend(name, size, shared, cell.get("id", str(number))))
                cpus = "".join(f",cpus={part}" for part in filter(None, (cell.get("cpus") or "").split(",")))
                yield from ("-numa", f"node,nodeid={cell.get('id', number)}{cpus},memdev={name}")
            return
        name = self._default_ram_id()
        if not name:
            yield from ("-machine", machine + extra)
            return
        yield from ("-machine", f"{machine},memory-backend={name}{extra}")
        yield from (
            "-object",
            self._backend(name, self._first, None, "0") + ",x-use-canonical-path-for-ramblock-id=off",
        )

    def _default_ram_id(self) -> str:
        upstream = upstream_machine(self._machine)
        name = upstream[0] if upstream is not None else self._machine
        release = find_release(None) if self._version is None else nearest_release(self._version, name, None, [])
        return find_machine_type(name, self._architecture, release)[0].default_ram_id

    def _backend(self, name: str, size: int, access: str | None, node: str) -> str:
        backing = self._domain.find("memoryBacking")
        if backing is None:
            backing = ElementTree.Element("memoryBacking")
        source = backing.find("source")
        kind = source.get("type") if source is not None else None
        mode = backing.find("access")
        access = access or (mode.get("mode") if mode is not None else None)
        page = self._huge_page(backing, node)
        share = f",share={'on' if access == 'shared' else 'off'}" if access is not None else ""
        if kind == "memfd" or page not in (0, DEFAULT_HUGE_PAGE):  # of the other sizes there are no mounts here
            huge = f",hugetlb=on,hugetlbsize={page}" if page else ""
            return f"memory-backend-memfd,id={name},size={size}{huge}{share}"
        if page or kind == "file":
            path = "/dev/hugepages" if page else "/var/lib/libvirt/qemu/ram"
            return f"memory-backend-file,id={name},size={size},mem-path={path}{share}"
        return f"memory-backend-ram,id={name},size={size}{share}"

    def _huge_page(self, backing: ElementTree.Element, node: str) -> int:
        """Bytes of a huge page of a node's memory; 0 for none."""
        pages = backing.find("hugepages")
        if pages is None:
            return 0
        found = DEFAULT_HUGE_PAGE
        for page in pages.findall("page"):
            nodes = page.get("nodeset")
            if nodes is None or node in nodes.split(","):
                found = _attribute_size(page, "size")
        return found

    def _plugged(self) -> Iterator[str]:
        counts: dict[str, int] = {}
        for module in self._modules:
            model = module.get("model", "dimm")
            stem = model.replace("-", "")
            number = counts[stem] = counts.get(stem, -1) + 1
            alias = module.find("alias")
            name = alias.get("name", "") if alias is not None else f"{stem}{number}"
            size = _size(module.find("target/size"))
            path = module.findtext("source/path")
            backend = self._backend(f"mem{name}", size, module.get("access"), module.findtext("target/node") or "0")
            if path:
                backend = f"memory-backend-file,id=mem{name},size={size},mem-path={path.strip()},share=on"
            yield from ("-object", backend)
            node = module.findtext("target/node")
            at = f",node={node.strip()}" if node and self._cells else ""
            address = module.find("target/address")
            at += f",addr={address.get('base')}" if address is not None and model.endswith("dimm") else ""
            yield from ("-device", f"{MODULES.get(model, model)},memdev=mem{name},id={name}{at}")

    def _bridges(self) -> Iterator[str]:
        """The PCI buses besides the root, by which devices behind them are called; libvirt calls bus N `pci.N`."""
        for controller in self._domain.findall("devices/controller[@type='pci']"):
            number, model, target = controller.get("index", "0"), controller.get("model", ""), controller.find("target")
            if number == "0" or model.endswith("-root"):
                continue
            told = {} if target is None else dict(target.attrib)
            numbers = {
                "pcie-root-port": f",chassis={told.get('chassis', number)}",
                "pcie-switch-downstream-port": f",chassis={told.get('chassis', number)}",
                "pci-bridge": f",chassis_nr={told.get('chassisNr', number)}",
                "pcie-expander-bus": f",bus_nr={told.get('busNr', '254')}",
                "pci-expander-bus": f",bus_nr={told.get('busNr', '254')}",
            }
            yield from (
                "-device",
                f"{BRIDGES.get(model, model)},id=pci.{number}{numbers.get(model, '')}{self._place(controller)}",
            )

    def _place(self, device: ElementTree.Element) -> str:
        """Bus and address of a device; one that is not told is on no bus that there is."""
        found = device.find("address")
        if found is None or found.get("type") != "pci":
            return f",bus={NOT_TOLD}"
        bus = int(found.get("bus", "0"), 0)
        root = "pci.0" if self._has_conventional_root() else "pcie.0"
        several = ",multifunction=on" if found.get("multifunction") == "on" else ""
        place = f"{found.get('slot', '0x00')}.{int(found.get('function', '0'), 0)}"
        return f",bus={f'pci.{bus}' if bus else root},addr={place}{several}"

    def _has_conventional_root(self) -> bool:
        return self._machine.startswith(("pc-i440fx", "pc-0", "pc-1", "pseries", "s390")) or self._machine == "pc"

    def _others(self) -> Iterator[str]:
        """What brings RAMBlocks of its own, with its address, by which they are called."""
        for tag, names, default in (("interface", NICS, "rtl8139"), ("video", VIDEOS, "VGA")):
            for device in self._domain.findall(f"devices/{tag}"):
                model = device.find("model")
                name = model.get("type") if model is not None else None
                if name != "none":
                    yield from ("-device", f"{names.get(name or '', name or default)}{self._place(device)}")
        for device in self._domain.findall("devices/hostdev"):
            yield from ("-device", f"vfio-{device.get('type', 'pci')}{self._place(device)}")
        uuid = self._domain.findtext("uuid")
        if uuid:
            yield from ("-uuid", uuid.strip())


def _size(element: ElementTree.Element | None) -> int:
    if element is None or element.text is None:
        return 0
    return int(element.text.strip()) * UNITS[element.get("unit", "KiB")]


def _attribute_size(element: ElementTree.Element, name: str) -> int:
    return int(element.get(name, "0")) * UNITS[element.get("unit", "KiB")]
