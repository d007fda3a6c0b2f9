"""`-object tls-creds-x509`: credentials that character devices name with `tls-creds=`.

QEMU makes them before its character devices; so they are no part of the machine here.
"""

from __future__ import annotations

from ...commands.keyval import OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PREFIX = "tls-creds-"
KIND = "tls-creds-x509"
_SWITCHES = ("verify-peer", "sanity-check")
_TRUE = ("on", "yes", "true", "y")
_FALSE = ("off", "no", "false", "n")


def read_credentials(pairs: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the id and the options of credentials: `dir`, `endpoint` and the switches as `on` or `off`.

    :raise OptionError: with QEMU's text where QEMU refuses them, too.
    """
    found = {name: _last(value) for name, value in pairs.items()}
    kind = found.pop("qom-type")
    if kind != KIND:
        raise OptionError(f"objects of the type '{kind}' are not supported; {KIND} is")
    if "id" not in found:
        raise OptionError("Parameter 'id' is missing")
    label = found.pop("id")
    for name, value in found.items():
        if name in _SWITCHES:
            if value not in _TRUE + _FALSE:
                raise OptionError(f"Invalid parameter type for '{name}', expected: boolean")
            found[name] = "on" if value in _TRUE else "off"
            if name == "sanity-check" and found[name] == "off":
                raise OptionError(
                    f"'sanity-check=off' of {KIND} is not supported: each handshake looks at certificates"
                )
        elif name == "endpoint":
            if value not in ("client", "server"):
                raise OptionError(f"Parameter 'endpoint' does not accept value '{value}'")
        elif name in ("priority", "passwordid"):
            raise OptionError(f"property '{name}' of {KIND} is not supported")
        elif name != "dir":
            raise OptionError(f"Parameter '{name}' is unexpected")
    return label, found


def _last(value: Any) -> str:
    if isinstance(value, list):
        value = value[-1]
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
