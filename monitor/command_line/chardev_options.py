"""How a character device is written: the keys of `-chardev`, the short spellings of `-qmp` and `-monitor`.

What the options of a device mean together is for it to say: see `monitor.chardevs.options`.
"""

from __future__ import annotations

from ...commands.keyval import OptionError, parse_opts
from .groups import OptionGroup, checked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.releases import Release

_KEYS = (
    ("string", None, None, "backend path host port fd localaddr localport name logfile tls-creds tls-authz chardev"),
    ("string", "8.0", None, "chardevs.0 chardevs.1 chardevs.2 chardevs.3 input-path"),
    ("string", "11.0", None, "encoding"),
    (
        "bool",
        None,
        None,
        "server wait delay telnet tn3270 websocket mux signal ipv4 ipv6 abstract tight append logappend",
    ),
    ("bool", "6.0", None, "nodelay mouse clipboard"),
    ("bool", "11.0", None, "logtimestamp"),
    ("number", None, None, "to width height cols rows debug"),
    ("number", None, "10.2", "reconnect"),
    ("number", "9.2", None, "reconnect-ms"),
    ("size", None, None, "size"),
)
"""Types of values, the first and the last QEMU with these keys, and the keys."""

KINDS = {
    "null": "",
    "stdio": "signal",
    "socket": "path host port fd server wait reconnect reconnect-ms abstract tight ipv4 ipv6 to telnet"
    " tls-creds tls-authz",
    "pty": "path",
    "file": "path append input-path",
    "pipe": "path",
}
"""The kinds of character devices there are, each with the keys that it obeys."""
UNMODELLED_KINDS = frozenset(
    (
        "serial",
        "parallel",
        "parport",
        "tty",
        "udp",
        "mux",
        "hub",
        "vc",
        "ringbuf",
        "memory",
        "testdev",
        "msmouse",
        "wctablet",
        "braille",
        "spicevmc",
        "spiceport",
        "dbus",
        "qemu-vdagent",
        "console",
    )
)
"""Kinds that QEMU has besides; none is opened."""
_SERVED_BY_ALL = frozenset(("backend", "id", "logfile", "logappend"))
_REFUSED = {"socket": frozenset(("tn3270", "websocket"))}
"""Keys that QEMU obeys for a kind and nothing here does. What is in neither table QEMU does not look at, or it asks
for nothing: several users of one device are refused anyway, and a monitor's lines are too short to be delayed."""
_REFUSED_BY_ALL = frozenset(("logtimestamp",))

_LOOPBACK = "127.0.0.1"
"""Where QEMU listens on all addresses: whoever may talk to a monitor may do all that we may."""
_LONGEST_HOST = 64
_LONGEST_PORT = 32

_groups: dict[Release, OptionGroup] = {}


def device_group(release: Release) -> OptionGroup:
    """Return the keys of `-chardev` in a release."""
    if release not in _groups:
        types = {
            key: kind for kind, since, until, keys in _KEYS if release.covers(since, until) for key in keys.split()
        }
        _groups[release] = OptionGroup("chardev", "backend", True, types)
    return _groups[release]


def read_device(text: str, release: Release) -> dict[str, str]:
    """Return the character device that QEMU's short spelling (`unix:PATH,…`, `tcp:HOST:PORT,…`, `stdio`) means.

    :raise OptionError: not such a spelling; with no text where QEMU gives no reason.
    """
    options: dict[str, str] = {}
    if text.startswith("mon:"):
        options["mux"] = "on"
        text = text[4:]
    kind, colon, rest = text.partition(":")
    if text in ("null", "stdio", "pty"):
        return options | {"backend": text}
    if colon and (kind in ("file", "pipe") or (kind == "pty" and release.covers("9.2"))):
        return options | {"backend": kind, "path": rest}
    if colon and kind == "unix":
        return options | {"backend": "socket"} | _last(rest, "path", release)
    if colon and kind == "systemd":
        from .activation import passed_socket

        return options | {"backend": "socket", "fd": str(passed_socket(rest)), "server": "on", "wait": "off"}
    if colon and kind in ("tcp", "telnet"):
        host, _, place = rest.partition(":")
        port, separator, rest = place.partition(",")
        if not port or len(host) > _LONGEST_HOST:
            raise OptionError("")
        options |= {"backend": "socket", "host": host, "port": port[:_LONGEST_PORT]}
        if separator:
            options |= _last(rest, None, release)
        options["host"] = options["host"] or _LOOPBACK
        return options | ({"telnet": "on"} if kind == "telnet" else {})
    raise OptionError(f"'{text}' is not a valid char driver")


def served_options(device: dict[str, str]) -> dict[str, str]:
    """Return those options of a character device that its opening obeys.

    :raise OptionError: an option that QEMU obeys and nothing here does.
    """
    backend = device["backend"]
    served = _SERVED_BY_ALL.union(KINDS[backend].split())
    for key, value in device.items():
        if value != "off" and (key in _REFUSED_BY_ALL or key in _REFUSED.get(backend, ())):
            raise OptionError(f"option '{key}' is not supported")
    return {key: value for key, value in device.items() if key in served}


def _last(text: str, implied_key: str | None, release: Release) -> dict[str, str]:
    group = device_group(release)
    pairs: dict[str, str] = {}
    for key, value in parse_opts(text, implied_key, group.types):
        if key != "id":
            pairs[key] = checked(group, key, "on" if value is None else value, None)
    return pairs
