"""What a destination refuses of what a source tells before its pages, in QEMU's words.

Who receives a stream and who only asks what would become of one both take their errors from here.
"""

from __future__ import annotations

import errno
import os

from . import format as fmt
from .errors import StreamError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class OwnBlock(Protocol):
        """What the destination has by the name that the source told. Lengths are in bytes."""

        @property
        def used_length(self) -> int:
            """What is used of it."""

        @property
        def max_length(self) -> int:
            """What may come to be used of it."""

        @property
        def resizeable(self) -> bool:
            """Whether it can become longer or shorter."""


CONFIGURATION_HOOK = "post load hook failed for: configuration, version_id: 1, minimum_version: 0"


def uuid_text(uuid: bytes) -> str:
    """A UUID as people write it."""
    digits = uuid.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def unknown_block(name: str) -> StreamError:
    """The destination has no RAMBlock of that name."""
    return StreamError(f'Unknown ramblock "{name}", cannot accept migration')


def misfit(name: str, length: int, own: OwnBlock) -> StreamError | None:
    """What is wrong with a RAMBlock of `length` bytes; None where the destination's has as many, or can have."""
    if length == own.used_length or (own.resizeable and length <= own.max_length):
        return None
    text = f"Size mismatch: {name}: {length:#x} != {own.used_length:#x}"
    if own.resizeable:
        text = f"Size too large: {name}: {length:#x} > {own.max_length:#x}"
    return StreamError(f"{text}: {os.strerror(errno.EINVAL)}")


def moved_block(name: str, told: int, own: int) -> StreamError:
    """A block that stays away is elsewhere in the address space."""
    return StreamError(f"Mismatched GPAs for block {name} {told} != {own}")


def no_configuration(kind: int) -> StreamError:
    """A stream of old, which begins with a section of that kind, where a newer one was expected."""
    text = "Configuration section missing"
    return StreamError(text, newer=f"{text}, {kind:x} != {fmt.CONFIGURATION:x}")


def unknown_section_type(kind: int) -> StreamError:
    """A section of no kind that there is, as the configuration is to machines of old."""
    return StreamError(f"Unknown savevm section type {kind}", newer=f"Unknown section type {kind}")


def is_other_machine(told: str, own: str | None) -> bool:
    """Whether the names differ to QEMU, which compares no more of its own than the source tells: measured."""
    return own is None or not own.startswith(told)


def other_machine(told: str, own: str | None) -> StreamError:
    """The source is of another machine type."""
    text = f"Machine type received is '{told}' and local is '{own}'"
    return StreamError(text, newer=f"{CONFIGURATION_HOOK}: {text}")


def other_page_bits(told: int, own: int) -> StreamError:
    """The source has pages of another size, and tells so."""
    text = f"Received TARGET_PAGE_BITS is {told} but local is {own}"
    return StreamError(text, newer=f"{CONFIGURATION_HOOK}: {text}")


def other_capability(name: str, own: bool) -> StreamError:
    """A capability that both must have alike is on at one side only."""
    states = "on, but received capability is off" if own else "off, but received capability is on"
    hook = f"{CONFIGURATION_HOOK}: Failed to validate capabilities"
    return StreamError(f"Capability {name} is {states}", newer=hook, reported=True)


def other_uuid(told: bytes, own: bytes) -> StreamError:
    """The source is another machine."""
    text = f"UUID received is {uuid_text(told)} and local is {uuid_text(own)}"
    hook = "post load hook failed for: configuration/uuid, version_id: 1, minimum_version: 1, ret: -22"
    newer = f"Loading VM subsection 'configuration/uuid' in 'configuration' failed: {hook}"
    return StreamError(text, newer=newer, reported=True)


def unknown_command(number: int, length: int) -> StreamError:
    """The source sends a command that the destination does not know."""
    return StreamError(f"MIG_CMD {number:#x} unknown (len {length:#x})")


def unknown_flags(flags: int) -> StreamError:
    """What stands where a page's address and flags were expected is neither."""
    return StreamError(f"Unknown combination of migration flags: {flags:#x}")


def missing_footer(name: str, section_id: int) -> StreamError:
    """A section is longer or shorter than the destination's device reads."""
    newer = f"Section footer error, section_id: {section_id}"
    return StreamError(f"Missing section footer for {name}", newer=newer, reported=True)


def compressed_page() -> StreamError:
    """A page that is compressed, which was not agreed on."""
    return StreamError("Received an unexpected compressed page")


def section_start(name: str, version: int) -> tuple[str, str]:
    """What is said of a section's beginning that fails; the second is QEMU 11.1's, up to the errno."""
    failed = f"error while loading state for instance 0x0 of device '{name}'"
    return failed, f"{failed}: Failed to load vmstate version_id: {version}, ret: "


def section_part(name: str, section_id: int, version: int) -> tuple[str, str]:
    """What is said of a further part of a section that fails, likewise."""
    failed = f"error while loading state section id {section_id}({name})"
    return failed, f"Failed to load vmstate version_id: {version}, ret: "
