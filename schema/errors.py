"""What the contract raises when a value breaks it. Nothing else belongs here."""


class ArgumentError(Exception):
    """Arguments that a command does not take; `str(error)` is QEMU's text for the first mistake."""


class ResultError(Exception):
    """An answer or event that breaks the contract: a bug in its handler, never the client's fault."""
