"""The link from a device to the backend that is its memory."""

from __future__ import annotations

from ..errors import VMError
from ..hostmem.backend import MemoryBackend
from ..qom import take_str
from .device import SettableDevice
from .values import DeviceProperty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..memory.region import MemoryRegion


class HasMemdev(SettableDevice):
    """A device with the memory of a backend, `memdev`; its class lists `MEMDEV` among its properties."""

    abstract = True
    memdev: MemoryBackend | None = None
    without_memdev = "'memdev' property must be set"
    """What is told where none was named."""

    @property
    def backend(self) -> MemoryBackend:
        """The memory; raises `VMError` if none was named."""
        if self.memdev is None:
            raise VMError(self.without_memdev)
        return self.memdev

    @property
    def backend_region(self) -> MemoryRegion:
        """The backend's region."""
        region = self.backend.region
        assert region is not None, "backends that are there have one"
        return region


def _set_memdev(device: HasMemdev, value: object) -> None:
    name = take_str("memdev", value)
    device.memdev = device.tree.find_linked("memdev", name, MemoryBackend) if name else None


def _memdev_path(device: HasMemdev) -> str:
    return device.memdev.path if device.memdev is not None else ""


MEMDEV = DeviceProperty("memdev", "link<memory-backend>", _memdev_path, _set_memdev)
