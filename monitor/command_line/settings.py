"""What a command line comes to: plain values, and the ways it can come to nothing.

Nothing is parsed, opened or decided here; `cmdline` makes these.
"""

from __future__ import annotations

from ...vm.config import Config


class CommandLineError(Exception):
    """The command line is refused, with exit status 1.

    `messages` are all the texts to show, warnings first; each wants the program's name and `: ` before it. `str(error)`
    is the last of them.
    """

    def __init__(self, messages: list[str], hint: str | None = None, config: Config | None = None) -> None:
        super().__init__(messages[-1])
        self.messages = messages
        self.hint = hint
        self.config = config
        """What had been read before the mistake."""


class Question:
    """What the command line asks instead of starting a machine.

    `kind` is "help", "version", "machine" (`subject` is a machine type, or empty for the list of them), "object"
    (`subject` is a type or empty), "cpu", or "text": then `text` is the complete answer.
    """

    __slots__ = ("kind", "status", "subject", "text")

    def __init__(self, kind: str, subject: str = "", text: str = "", status: int = 0) -> None:
        self.kind = kind
        self.subject = subject
        self.text = text
        self.status = status
        """The exit status after the answer."""


class DeviceSettings:
    """One character device: its options under QEMU's names (booleans are on and off) and what asked for it."""

    __slots__ = ("options", "origin", "purpose")

    def __init__(self, origin: str, options: dict[str, str], purpose: str = "") -> None:
        self.origin = origin
        """As in `-chardev null,id=a`; messages about the device begin with it."""
        self.options = options
        self.purpose = purpose
        """A sentence that follows such a message, which then stands alone; or empty."""


class MonitorSettings:
    """One monitor on a character device."""

    __slots__ = ("chardev", "mode", "origin", "pretty", "read_only")

    def __init__(self, origin: str, chardev: str, mode: str, pretty: bool, read_only: bool = False) -> None:
        self.origin = origin
        self.chardev = chardev
        """The id of its character device."""
        self.mode = mode
        """"control" (QMP) or "readline" (HMP)."""
        self.pretty = pretty
        self.read_only = read_only
        """Whether its clients may change nothing."""


class Settings:
    """The meaning of a command line."""

    __slots__ = (
        "allowed_paths",
        "aside",
        "chardevs",
        "commands",
        "config",
        "console_replaced",
        "credentials",
        "daemonize",
        "default_monitor",
        "display",
        "keep_going",
        "monitors",
        "nodefaults",
        "nographic",
        "pidfile",
        "qtest",
        "qtest_log",
        "question",
        "record",
        "script",
        "strict",
        "transcript",
        "unmodelled",
        "vi",
        "warnings",
    )

    def __init__(self) -> None:
        self.config = Config()
        self.chardevs: dict[str, DeviceSettings] = {}
        self.monitors: list[MonitorSettings] = []
        self.allowed_paths: list[str] = []
        """Folders of the host whose files clients of monitors may name; none limits nothing."""
        self.credentials: dict[str, dict[str, str]] = {}
        """`-object tls-creds-x509` by id: what the character devices' TLS is made of."""
        self.commands: list[str] = []
        """`-c` lines in order."""
        self.script: str | None = None
        """`--script FILE`; "-" is standard input."""
        self.keep_going = False
        self.record: str | None = None
        """A file for the lines that are typed, as a script."""
        self.transcript: str | None = None
        """A file for the lines with their answers."""
        self.vi = False
        """Whether the console's keys are vi's whatever the inputrc says."""
        self.pidfile: str | None = None
        self.qtest: str | None = None
        """The id of the character device that speaks the qtest protocol."""
        self.qtest_log: str | None = None
        """A file for what is said there; "none" is no log, None is stderr."""
        self.daemonize = False
        self.display: str | None = None
        """"none" or None, not given."""
        self.nographic = False
        self.nodefaults = False
        self.default_monitor = True
        """False once a monitor was asked for, or none."""
        self.console_replaced = False
        """Whether a human monitor was asked for, or none."""
        self.question: Question | None = None
        """Where it is given, options after it were not looked at and nothing is to be started."""
        self.warnings: list[str] = []
        """Texts for standard error, each with the program's name and `: ` before it."""
        self.aside: dict[str, None] = {}
        """What is not modelled and memory does not depend on, as people write it, in order."""
        self.unmodelled: dict[str, str] = {}
        """What is not modelled and memory depends on, with its RAMBlocks, or empty where they are not known."""
        self.strict = False
        """Whether what is not modelled is refused."""

    @property
    def left_out(self) -> list[str]:
        """What people are told of what is not modelled: at most two lines."""
        lines = []
        if self.aside:
            lines.append(f"not modelled, memory does not depend on it: {', '.join(self.aside)}")
        if self.unmodelled:
            named = [f"{what} ({blocks})" if blocks else what for what, blocks in self.unmodelled.items()]
            lines.append(f"not modelled, and memory depends on it: {', '.join(named)}")
        return lines

    @property
    def wants_console(self) -> bool:
        """Whether a person at a terminal is to get the interactive console.

        It takes the place of QEMU's window and of `-nographic`'s monitor on standard input, and stands beside QMP
        monitors; not where standard input has another use or nothing was to be shown.
        """
        return not (
            self.commands
            or self.script is not None
            or self.daemonize
            or self.nodefaults
            or self.console_replaced
            or (self.display == "none" and not self.nographic)
            or any(device.options.get("backend") == "stdio" for device in self.chardevs.values())
        )


class Answered(Exception):  # noqa: N818 (not an error: the way out of reading options)
    """The command line turned out to be a question; raised while it is read."""

    def __init__(self, question: Question) -> None:
        self.question = question
