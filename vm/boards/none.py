"""The machine `none`: no devices, and RAM only when asked for."""

from __future__ import annotations

from .machine import Machine
from .machine_type import MachineType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..releases import Release
    from .targets import Target


class NoneMachine(Machine):
    """An empty board, whose RAM begins at 0."""

    type_name = "none-machine"
    flash_modelled = True

    def build(self) -> None:
        """Map the RAM."""
        if self.ram is not None:
            self.system.add_subregion(0, self.ram)


MACHINE_TYPES = (MachineType("none", NoneMachine, "empty machine", default_ram_id="ram", default_ram_size=0),)


def machine_types(_target: Target, _release: Release) -> tuple[MachineType, ...]:
    """The machine types of this family."""
    return MACHINE_TYPES
