"""Options that stand for others, or change them: -readconfig, whose file has options as sections, and -set."""

from __future__ import annotations

import re

from ...commands.keyval import OptionError, parse_opts
from ...vm.known import option_group
from .unmodelled import ANY_KEY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...vm.releases import Release
    from .groups import Context
    from .option import Find, Option

    Use = tuple[Option, str, str]

OPTION_OF_GROUP = {"memory": "m", "smp-opts": "smp", "boot-opts": "boot"}
"""The options whose names are not those of their groups."""
STRUCTURED = ("object", "machine", "smp-opts", "boot-opts")
"""Groups whose options newer QEMUs read as a whole, so that -set cannot change them."""
READ_LATER = ("object", "device", "numa")
"""Groups in which mistakes are found when the file has been read."""
SECTION = re.compile(r'\[([^\s\]]{1,63}) "([^"]{1,63})"\]|\[([^\]]{1,63})')
PAIR = re.compile(r'\s*(\S{1,63})(?:\s*=\s*"([^"]{1,1023})")?')
SETTING = re.compile(r"([^.]{1,63})\.([^.]{1,63})\.([^=]{1,63})=(.*)", re.DOTALL)


def expand(context: Context, uses: list[Use], find: Find) -> list[Use]:
    """The options with those of files in place of -readconfig, changed as -set says; `find` knows all options.

    :raise OptionError: a file cannot be read, or there is nothing to be set.
    """
    expanded: list[Use] = []
    for option, where, value in uses:
        context.where = where
        if option.name == "readconfig":
            expanded += _read_file(context, value, find)
        elif option.name == "set":
            _set(context, expanded, value)
        else:
            expanded.append((option, where, value))
    return expanded


def _read_file(context: Context, path: str, find: Find) -> Iterator[Use]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError as error:
        text = context.release.text("no configuration", "Could not open '{0}': {1}")
        raise OptionError(text.format(path, error.strerror)) from None
    section: _Section | None = None
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        found = SECTION.match(line)
        if found is not None:
            if section is not None:
                yield section.end(find)
            section = _Section(context, path, number, found[1] or found[3], found[2])
            continue
        pair = PAIR.match(line)
        if pair is not None:
            if section is None:
                raise _located(context, path, number, "no group defined")
            section.add(number, pair[1], pair[2] or "")
    if section is not None:
        yield section.end(find)


class _Section:
    """A section of a file: an option with its pairs. QEMU 5.2 takes each pair at once, newer ones all in the end."""

    def __init__(self, context: Context, path: str, number: int, group: str, label: str | None) -> None:
        self._context = context
        self._path = path
        self._group = group
        self._first = self._last = number
        self._keys = _keys(group, context.release)
        self._mistake: str | None = None
        self._pairs = [] if label is None else [f"id={label}"]
        if self._keys is None:
            self._refuse(number, f"There is no option group '{group}'")

    def add(self, number: int, key: str, value: str) -> None:
        """Take a pair."""
        self._last = number
        is_known = self._group in _structured(self._context.release) or not self._keys or key in self._keys
        if "=" in key or not is_known:
            self._refuse(number, f"Invalid parameter '{key}'")
        self._pairs.append(f"{key}={value.replace(',', ',,')}")

    def _refuse(self, number: int, text: str) -> None:
        if not self._context.release.covers("7.2"):
            raise _located(self._context, self._path, number, text)
        self._mistake = self._mistake or text

    def end(self, find: Find) -> Use:
        """The option that the section is."""
        release, number = self._context.release, self._last
        option = find(f"-{OPTION_OF_GROUP.get(self._group, self._group)}", release)
        if option is None:
            self._refuse(number, f"There is no option group '{self._group}'")
        if self._mistake is not None or option is None:
            raise _located(self._context, self._path, number, self._mistake or "")
        where = f"{self._path}:{number if release.covers('7.2') else self._first}"
        if release.covers("10.0") and self._group not in READ_LATER:
            where = self._context.where
        return option, where, ",".join(self._pairs)


def _keys(group: str, release: Release) -> dict[str, str] | None:
    """The keys of a group, none where it takes any; None if there is no such group."""
    return {} if group in ("machine", *ANY_KEY) else option_group(group, release)


def _structured(release: Release) -> tuple[str, ...]:
    """Groups whose options are read as a whole."""
    if release.covers("10.0"):
        return (*STRUCTURED, "audiodev")
    return STRUCTURED if release.covers("7.2") else ()


def _located(context: Context, path: str, number: int, text: str) -> OptionError:
    """A mistake in a file, told as the release does."""
    if context.release.covers("10.0"):
        return OptionError(text)
    if context.release.covers("7.2"):
        context.where = f"{path}:{number}"
        return OptionError(text)
    context.warn_alone(f"{path}:{number}: {text}")
    return OptionError(f"read config {path}: Invalid argument")


def _set(context: Context, uses: list[Use], value: str) -> None:
    """Add a pair to the option of a group with an id, the last of whose values counts."""
    found = SETTING.fullmatch(value)
    if found is None:
        raise OptionError(f'can\'t parse: "{value}"')
    group, label, key, text = found.groups()
    if group in _structured(context.release):
        raise OptionError(f"-set is not supported with {group}")
    keys = _keys(group, context.release)
    if keys is None:
        raise OptionError(f"There is no option group '{group}'")
    name = OPTION_OF_GROUP.get(group, group)
    for place, (option, where, given) in enumerate(uses):
        if option.name == name and not given.startswith("{") and ("id", label) in parse_opts(given):
            if keys and key not in keys:
                raise OptionError(f"Invalid parameter '{key}'")
            uses[place] = option, where, f"{given},{key}={text.replace(',', ',,')}"
            return
    raise OptionError(f'there is no {group} "{label}" defined')
