"""The interactive console: the prompt of a person at a terminal.

prompt_toolkit, pygments and asyncio are imported in here and nowhere else, and only once there is a terminal to serve;
this module greets before it imports them. What commands do is not known here.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..program import Program


def welcome(program: Program) -> str:
    """The line that greets: who we are, and what machine this is."""
    from ...commands.status import PACKAGE
    from .status_bar import ram_text

    assert program.vm is not None
    machine = f"{program.vm.machine_type.name}, {ram_text(program.vm.machine.ram_size)}"
    return f"{PACKAGE} (QEMU {program.release.full_name} protocols), {machine}; 'help' lists the commands"


def run_console(program: Program) -> None:
    """Serve the person at the terminal, and all other monitors, until the program is told to end."""
    print(welcome(program), flush=True)

    from ..own_machine import OwnMachine
    from ..scripts.recording import open_recorder
    from .session import serve_terminal
    from .subject import OwnSubject

    settings = program.settings
    recorder = open_recorder(program.warn, settings.record, settings.transcript)
    serve_terminal(OwnMachine(program), OwnSubject(program), recorder=recorder, vi=settings.vi)
