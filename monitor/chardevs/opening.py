"""From options to the character device that they describe: which kinds there are."""

from __future__ import annotations

from .device import Chardev
from .options import ChardevOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..loop import Loop


def open_chardev(loop: Loop, options: dict[str, str], notify: Callable[[str], object] | None = None) -> Chardev:
    """Open the character device that QEMU's options describe; the values are as spelled on the command line.

    A server with `wait` on (as it is by default) returns when the first client has come, or with none when the loop is
    stopped; `notify` is then first given a line for stderr.

    :raise ChardevError: the options are wrong or the device cannot be opened.
    """
    checked = ChardevOptions(options)
    if checked.backend == "null":
        return Chardev(loop, checked.id)
    if checked.backend == "stdio":
        from .stdio import StdioChardev

        return StdioChardev(loop, checked)
    from .sockets import ServerChardev, SocketChardev

    if not checked.server:
        return SocketChardev(loop, checked)
    server = ServerChardev(loop, checked)
    if checked.wait:
        try:
            if notify is not None:
                notify(f"info: QEMU waiting for connection on: {server.filename}")
            server.wait_for_client()
        except BaseException:
            server.close()
            raise
    return server
