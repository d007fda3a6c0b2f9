"""What the options of a device on a socket mean together, checked in the order in which QEMU looks."""

from __future__ import annotations

import os

from .device import ChardevError
from .options import is_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .options import ChardevOptions
    from .tls import Credentials

LONGEST_PATH = 108
"""Of a unix socket, with its terminating zero: unix(7)."""


def check_socket(checked: ChardevOptions, options: dict[str, str]) -> None:
    """Refuse what does not go together.

    :raise ChardevError: in the order in which QEMU looks.
    """
    addresses = sum(address is not None for address in (checked.path, checked.host, checked.fd))
    one_needed = not checked.release.covers("6.0")
    if addresses > 1 or (one_needed and not addresses):
        raise ChardevError(
            "Exactly one of 'path', 'fd' or 'host' required"
            if one_needed
            else "None or one of 'path', 'fd' or 'host' option required."
        )
    if checked.host is not None and "port" not in options:
        raise ChardevError("chardev: socket: no port given")
    _check_reconnect(checked, options)
    if "tls-authz" in options:
        if checked.tls_creds is None:
            raise ChardevError("'tls_authz' option requires 'tls_creds' option")
        raise ChardevError("option 'tls-authz' is not supported")
    if not checked.server and "wait" in options:
        raise ChardevError("'wait' option is incompatible with socket in client connect mode")
    _check_address(checked)


def _check_reconnect(checked: ChardevOptions, options: dict[str, str]) -> None:
    if "reconnect" in options and "reconnect-ms" in options:
        raise ChardevError("'reconnect' and 'reconnect-ms' are mutually exclusive")
    name = "reconnect" if "reconnect" in options else "reconnect-ms"
    if not checked.reconnect or (name == "reconnect-ms" and not checked.release.covers("10.1")):
        return  # the first QEMUs with reconnect-ms did not look where it is of no use
    if checked.path is None and checked.host is None:
        raise ChardevError(f"'{name}' option is incompatible with 'fd' address type")
    if checked.server:
        raise ChardevError(f"'{name}' option is incompatible with socket in server listen mode")


def _check_address(checked: ChardevOptions) -> None:
    if checked.path is not None:
        if len(os.fsencode(checked.path)) >= LONGEST_PATH - (checked.abstract and checked.tight):
            raise ChardevError(
                f"UNIX socket path '{checked.path}' is too long\n"
                f"Path must be less than {LONGEST_PATH - (checked.abstract and checked.tight)} bytes"
            )
    elif checked.host is not None:
        if checked.ipv4 is False and checked.ipv6 is False:
            raise ChardevError("Cannot disable IPv4 and IPv6 at same time")
    elif not is_number(checked.fd or ""):
        raise ChardevError(f"Unable to parse FD number {checked.fd or ''}")


def find_credentials(checked: ChardevOptions, known: Mapping[str, Credentials]) -> Credentials | None:
    """Return the credentials that the options name, if they do.

    :raise ChardevError: there are none, or they are for the other end of a connection.
    """
    if checked.tls_creds is None:
        return None
    found = known.get(checked.tls_creds)
    if found is None:
        raise ChardevError(f"No TLS credentials with id '{checked.tls_creds}'")
    endpoint = "server" if checked.server else "client"
    if found.endpoint != endpoint:
        raise ChardevError(f"Expected TLS credentials for a {endpoint} endpoint")
    return found
