"""From options to the character device that they describe: which kinds there are."""

from __future__ import annotations

from .device import Chardev
from .options import ChardevOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...vm.releases import Release
    from ..loop import Loop
    from .tls import Credentials


def open_chardev(
    loop: Loop,
    options: dict[str, str],
    notify: Callable[[str], object] | None = None,
    release: Release | None = None,
    credentials: Mapping[str, Credentials] | None = None,
) -> Chardev:
    """Open the character device that QEMU's options describe; the values are as spelled on the command line.

    A server with `wait` on (as it is by default) returns when the first client has come, or with none when the loop is
    stopped. `notify` is given lines for stderr, of such a wait and of connections that do not come to be; `release` is
    the QEMU to be, the default one without it; `credentials` are those that there are for TLS, by their ids.

    :raise ChardevError: the options are wrong or the device cannot be opened.
    """
    from ...vm.releases import find_release

    checked = ChardevOptions(options, release or find_release(None))
    if checked.tls_creds is not None and checked.backend == "socket":
        from .socket_options import find_credentials

        checked.credentials = find_credentials(checked, credentials or {})
    if checked.log_file is None:
        return _open(loop, checked, notify)
    import os

    from .files import open_log

    log = open_log(checked)
    try:
        device = _open(loop, checked, notify)
    except BaseException:
        os.close(log)
        raise
    device.log_to(log)
    return device


def _open(loop: Loop, options: ChardevOptions, notify: Callable[[str], object] | None) -> Chardev:
    if options.backend == "null":
        return Chardev(loop, options.id)
    if options.backend == "stdio":
        from .stdio import StdioChardev

        return StdioChardev(loop, options)
    if options.backend == "pty":
        from .terminal import PtyChardev

        return PtyChardev(loop, options)
    if options.backend in ("file", "pipe"):
        from .files import FileChardev, PipeChardev

        return FileChardev(loop, options) if options.backend == "file" else PipeChardev(loop, options)
    return _open_socket(loop, options, notify)


def _open_socket(loop: Loop, options: ChardevOptions, notify: Callable[[str], object] | None) -> Chardev:
    from .sockets import ServerChardev, SocketChardev

    if options.reconnect and not options.server:
        from .reconnecting import ReconnectingChardev

        return ReconnectingChardev(loop, options, notify)
    if not options.server:
        return SocketChardev(loop, options)
    server = ServerChardev(loop, options)
    if options.wait:
        try:
            if notify is not None:
                notify(f"info: QEMU waiting for connection on: {server.filename}")
            server.wait_for_client()
        except BaseException:
            server.close()
            raise
    return server
