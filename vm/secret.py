"""secret: a password or key that a manager keeps here for other objects. None of those that there are asks for one."""

from __future__ import annotations

from .errors import VMError
from .objects import UserCreatable
from .qom import Property, take_enum, take_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .steps import Task

FORMATS = ("raw", "base64")
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n")
"""The bytes that a text in base64 may have, as observed; nothing else about it is looked at."""


def _text(name: str) -> Property:
    def set_text(secret: Any, value: object) -> None:
        secret.values[name] = take_str(name, value)

    return Property(name, "string", lambda secret: secret.values.get(name, ""), set_text)


def _loading(until: str | None, setter: Callable[[Any, Any], None] | None, since: str | None = None) -> Property:
    return Property("loaded", "bool", lambda secret: secret.loaded, setter, since=since, until=until)


class Secret(UserCreatable):
    """What was given, in `values`; a file is read once, and what was in it is told to nobody."""

    type_name = "secret"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.values = {"format": "raw"}
        self.loaded = False

    def complete(self, name: str) -> Task[None]:
        """Look at what was given; raises `VMError` for none, for both, for a file that cannot be read."""
        self._check()
        self.loaded = True
        yield from ()

    def _check(self) -> None:
        data, path = self.values.get("data"), self.values.get("file")
        if path is None:
            if data is None:
                raise VMError("Either 'file' or 'data' must be provided")
            content = data.encode("utf-8", "surrogateescape")
        else:
            if data is not None:
                raise VMError("'file' and 'data' are mutually exclusive")
            content = _read(path)
        key = self.values.get("keyid")
        if key is not None:
            if self.tree.objects.children.get(key) is None:
                raise VMError(f"No secret with id '{key}'")
            raise VMError("a secret that another one decrypts ('keyid') is not modelled (QEMU has it)")
        if self.values["format"] == "base64" and not _BASE64.issuperset(content):
            raise VMError(f"Base64 data contains {'embedded NUL' if 0 in content else 'invalid'} characters")

    def _set_format(self, value: object) -> None:
        self.values["format"] = take_enum("format", value, FORMATS, self.qemu)

    def _set_loaded(self, value: object) -> None:
        if value:
            self._check()
        self.loaded = bool(value)

    properties = (
        _text("data"),
        _text("file"),
        Property("format", "QCryptoSecretFormat", lambda secret: secret.values["format"], _set_format),
        _loading("5.2", _set_loaded),
        _loading("8.2", None, since="6.0"),
        _text("keyid"),
        _text("iv"),
    )


def _read(path: str) -> bytes:
    """The bytes of a file; the errors are those of the library that QEMU reads it with."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except IsADirectoryError as error:
        raise VMError(f"Unable to read {path}: Error reading file “{path}”: {error.strerror}") from None
    except OSError as error:
        raise VMError(f"Unable to read {path}: Failed to open file “{path}”: {error.strerror}") from None
