"""What is wrong with a stream that is looked at."""

from __future__ import annotations

from ..errors import VMError


class BrokenStreamError(VMError):
    """A stream that contradicts itself or ends too early. The text says where."""


class NotUnderstoodError(VMError):
    """Something that may be right and is not known here: another format, or a capability that is not modelled."""
