"""Sockets that systemd listens on and passes to the program: sd_listen_fds(3), systemd.socket(5)."""

from __future__ import annotations

import os

from ...commands.keyval import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST = 3
"""The descriptor of the first socket."""


def passed_socket(name: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return the descriptor of a socket that was passed, by its `FileDescriptorName=`; without a name the only one.

    :raise OptionError: there is none, or there are several.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal() or int(count) == 0:
        raise OptionError("systemd passes no socket (LISTEN_FDS, LISTEN_PID)")
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    found = [place for place in range(int(count)) if not name or names[place : place + 1] == [name]]
    if len(found) != 1:
        many = "no socket" if not found else f"{len(found)} sockets"
        raise OptionError(f"systemd passes {many} named '{name}'" if name else f"systemd passes {many}; name one")
    return FIRST + found[0]
