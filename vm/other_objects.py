"""Objects that users named and of which nothing is modelled but that they are there."""

from __future__ import annotations

from .errors import VMError
from .objects import UserCreatable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .machine import VirtualMachine
    from .steps import Task


class OtherObject(UserCreatable):
    """An object with a type and no properties."""

    def complete(self, name: str) -> Task[None]:
        """Nothing has to be done."""
        yield from ()


def add_other_objects(vm: VirtualMachine) -> None:
    """Put all that the configuration names into the tree; raises `VMError` for a name that is taken."""
    for name, type_name in vm.config.other_objects.items():
        if vm.tree.objects.has_property(name):
            raise VMError(f"attempt to add duplicate property '{name}' to object (type 'container')")
        made = OtherObject(vm.host, vm.topology, vm.objects.defaults)
        made.type_name = type_name
        vm.tree.objects.add_child(name, made)
        vm.objects.option_ids.add(name)
