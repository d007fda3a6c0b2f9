"""The option -accel, and what -machine accel= comes to: which accelerators may be tried, with their properties."""

from __future__ import annotations

from ...commands.keyval import OptionError
from ...vm.known import option_group
from ...vm.sizes import parse_integer, parse_size
from . import groups
from .settings import Answered, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.releases import Release
    from .machine_options import MachineOptions

_SLOT_LIMITS = {"max-memslots": ("uint64", None), "max-memslot-size": ("size", None)}
ACCELERATORS: dict[str, dict[str, tuple[str, str | None]]] = {
    "tcg": {},
    "kvm": {**_SLOT_LIMITS, "dirty-ring-size": ("uint32_t", "6.1")},
    "sim": {**_SLOT_LIMITS},
    "qtest": {},
}
"""The accelerators and their properties that mean something here, each with its type and the first QEMU that has it."""


def take_accelerator(machine: MachineOptions, value: str) -> None:
    """Take `-accel`; beyond QEMU also with several names to be tried in turn, as `-machine accel=` has them."""
    pairs = machine.context.read(groups.ACCELERATOR, value)
    name = pairs.get("accel", ["help"])[-1]
    if groups.is_help(name):
        text = "\n".join(["Accelerators supported in QEMU binary:", *ACCELERATORS])
        raise Answered(Question("text", text=text))
    for one in name.split(":") if ":" in name else [name]:
        machine.accelerators.append((machine.context.where, {**pairs, "accel": [one]}))


def finish_accelerators(machine: MachineOptions) -> None:
    """Keep the accelerators that may come to be tried, up to the first that cannot fail."""
    context = machine.context
    chosen = machine.config.accelerators
    any_unknown = False
    for where, pairs in machine.accelerators:
        context.where = where
        name = pairs["accel"][-1]
        settled = bool(chosen) and chosen[-1][0] != "kvm"
        if name not in ACCELERATORS:
            # -machine looks at all its names before it tries one, -accel at each when its turn has come.
            if not chosen or not where:
                context.warn(f"invalid accelerator {name}")
                any_unknown = True
        elif not settled:
            given = {key: values[-1] for key, values in pairs.items() if key not in ("accel", "id")}
            chosen.append((name, _properties(context, name, given)))
    context.where = ""
    if any_unknown:
        if not chosen:
            raise OptionError(context.settings.warnings.pop())
        context.warn(f"falling back to {chosen[0][0]}")


def _properties(context: groups.Context, name: str, given: dict[str, str]) -> dict[str, str]:
    """An accelerator's properties, checked; those that QEMU's has and ours has not are set aside."""
    modelled = {}
    for key, value in given.items():
        if key in ACCELERATORS[name] or not _is_set_aside(context, name, key, value):
            modelled[key] = accelerator_property(name, key, value, context.release)
    return modelled


def _is_set_aside(context: groups.Context, name: str, key: str, value: str) -> bool:
    from .unmodelled_values import check_property

    kind = (option_group(f"accel/{name}", context.release) or {}).get(key)
    if kind is None:
        return False
    check_property(key, value, "boolean" if kind == "bool" else kind)
    if "|" in kind and value not in kind.split("|"):
        raise OptionError(f"Parameter '{key}' does not accept value '{value}'")
    context.set_aside(f"-accel {key}=")
    return True


def accelerator_property(accelerator: str, key: str, value: str, release: Release) -> str:
    """Return an accelerator's property checked and with its spelling gone: a number of bytes or things in decimal.

    :raise OptionError: the release has no such property, or its value is wrong.
    """
    kind, since = ACCELERATORS[accelerator].get(key, (None, None))
    if kind is None or not release.covers(since):
        raise OptionError(f"Property '{accelerator}-accel.{key}' not found")
    try:
        number = parse_size(value) if kind == "size" else parse_integer(value)
    except ValueError:
        raise OptionError(f"Parameter '{key}' expects {'size' if kind == 'size' else 'uint64'}") from None
    if not 0 <= number < (1 << 32 if kind == "uint32_t" else 1 << 64):
        raise OptionError(f"Parameter '{key}' expects {kind}")
    if key == "dirty-ring-size" and number & number - 1:
        raise OptionError("dirty-ring-size must be a power of two.")
    return str(number)
