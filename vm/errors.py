"""The one exception that leaves the VM core."""

from __future__ import annotations


class VMError(Exception):
    """A request that the VM refused; the VM is as it was before the request.

    `str(error)` is the text, QEMU's own for the same mistake. `qmp_class` is the QMP error class. `details` are lines
    that QEMU tells people (HMP, stderr) and not programs. `hint` may name the remedy: people are shown it
    after the text, programs ask for it (`query-hint`).
    """

    def __init__(
        self, text: str, qmp_class: str = "GenericError", hint: str | None = None, details: str | None = None
    ) -> None:
        super().__init__(text)
        self.qmp_class = qmp_class
        self.hint = hint
        self.details = details
        self.warnings: list[str] = []
        """What was to be told before, if this kept a machine from starting."""

    def of_option(self, origin: str | None) -> VMError:
        """The same about an option as it was spelled; None or an empty text is about none."""
        if not origin:
            return self
        return VMError(f"{origin}: {self}", self.qmp_class, self.hint, self.details)

    @property
    def full_text(self) -> str:
        """What people are told: the text, and the details on lines of their own."""
        return str(self) if self.details is None else f"{self}\n{self.details}"
