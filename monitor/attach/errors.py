"""The one exception of what a QEMU answered."""

from __future__ import annotations

from ...vm.errors import VMError


class AnswerError(VMError):
    """An answer that is not what QEMU gives to the question."""
