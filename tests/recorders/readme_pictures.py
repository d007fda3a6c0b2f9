"""Makes the README's pictures anew: a map, and a session at the console.

Run as `python -m ramslot.tests.recorders.readme_pictures`. The machine is on a virtual host, where all is the same
every time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..clients.terminal import Terminal
from .screen_picture import draw_screen

FOLDER = Path(__file__).parents[2] / ".images"
MACHINE = (
    *("-M", "q35", "-m", "8G,slots=4,maxmem=24G", "-accel", "sim,max-memslot-size=2G"),
    *("-host", "nodes=2,memory=64G", "-smp", "4"),
    *("-object", "memory-backend-ram,id=dimm,size=2G", "-device", "pc-dimm,id=d0,memdev=dimm"),
    *("-object", "memory-backend-ram,id=vm0,size=4G,reserve=off", "-device", "virtio-mem-pci,id=mem0,memdev=vm0"),
)
SHOWN = ("info map", "why 0xc0000")


class TallTerminal(Terminal):
    """A terminal that shows all of that."""

    lines = 58


def pictures() -> dict[str, str]:
    """The pictures by the names of their files."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "map.svg")
        drawing = Terminal(*MACHINE, "-c", f"info map --output {saved}")
        assert drawing.end() == 0, drawing.text
        own = {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}  # no history, and no start-up file
        console = TallTerminal("-M", "pc", "-m", "6G", "-host", "nodes=2,memory=64G", **own)
        console.until_prompt()
        for line in SHOWN:
            console.run(line)
        console.until_shown("memslots")
        found = {"map.svg": saved.read_text(), "console.svg": draw_screen(console.screen, "ramslot -M pc -m 6G")}
        console.type("quit\r")
        assert console.end() == 0
    return found


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pictures().items():
        (FOLDER / name).write_text(text)
