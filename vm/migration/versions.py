"""What streams look like by version: that of the machine type, which both sides share, and that of QEMU."""

from __future__ import annotations

import re

from . import format as fmt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..releases import Release

WITHOUT_CONFIGURATION = 2, 3
"""The last version of machine types whose streams have neither a configuration nor section footers."""
ZEROS_IN_STREAM = 8, 2
"""The last version of those that do not tell pages of zeros on channels of pages."""
MEETING_AT_SECTIONS = 8, 0
"""The last version of those whose channels of pages meet without being told."""
WITHOUT_SWITCHOVER_START = 9, 2
"""The last version of those that do not tell when the guest was stopped."""


def machine_version(machine_type: str) -> tuple[int, int] | None:
    """The version that a machine type's name ends with."""
    found = re.search(r"-(\d+)\.(\d+)$", machine_type)
    return (int(found[1]), int(found[2])) if found else None


def has_configuration(machine_type: str) -> bool:
    """Whether the stream begins with a configuration, and sections end with a footer."""
    version = machine_version(machine_type)
    return version is None or version > WITHOUT_CONFIGURATION


def sends_switchover_start(machine_type: str, release: Release) -> bool:
    """Whether the stream tells that the guest was stopped."""
    version = machine_version(machine_type)
    return release.covers("10.0") and (version is None or version > WITHOUT_SWITCHOVER_START)


def tells_zeros_in_packets(machine_type: str) -> bool:
    """Whether pages of zeros are told on channels of pages, if there are some, where nobody says how."""
    version = machine_version(machine_type)
    return version is None or version > ZEROS_IN_STREAM


def meets_at_sections(machine_type: str, release: Release) -> bool:
    """Whether channels of pages are waited for at the end of each section, without a word."""
    version = machine_version(machine_type)
    return not release.covers("8.1") or (version is not None and version <= MEETING_AT_SECTIONS)


def last_command(release: Release) -> int:
    """The newest command of a stream that a QEMU knows."""
    return fmt.SWITCHOVER_START if release.covers("10.0") else fmt.LAST_COMMAND_BEFORE_10


def ram_section(release: Release) -> int:
    """The number that a QEMU gives the section that is memory."""
    return 1 if release.covers("10.0") else fmt.RAM_SECTION_ID
