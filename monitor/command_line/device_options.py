"""The options that describe character devices and who uses them: -chardev, -mon, -qmp, -qmp-pretty, -monitor, -qtest.

No device is opened here, and what the options of a socket mean together is its own to say.
"""

from __future__ import annotations

import os

from ...commands.keyval import BAD_IDENTIFIER, OptionError
from ...vm.objects import is_identifier
from . import groups
from .chardev_options import KINDS, UNMODELLED_KINDS, device_group, read_device, served_options
from .settings import Answered, DeviceSettings, MonitorSettings, Question

QTEST = "qtest"
"""The id of the device that -qtest makes."""


MON_DEPRECATED = "warning: '-mon' is deprecated, use '-object' with 'monitor-hmp' or 'monitor-qmp' types instead"

IN_USE = "chardev '{}' is already in use"


class DeviceOptions:
    """What has been said about devices and monitors so far."""

    __slots__ = ("compat_monitors", "context", "devices", "monitors", "ports", "qtest", "unopened")

    def __init__(self, context: groups.Context) -> None:
        self.context = context
        self.devices: list[DeviceSettings] = []
        self.monitors: list[tuple[str, dict[str, str]]] = []
        self.ports: list[tuple[str, str, str]] = []
        """The serial and parallel ports: option as spelled, kind, and the character device that it asks for."""
        self.unopened: set[str] = set()
        """The ids of character devices of other kinds than there are here."""
        self.compat_monitors = 0
        self.qtest: str | None = None

    def take_chardev(self, value: str) -> None:
        """Take `-chardev`."""
        pairs = self.context.read(device_group(self.context.release), value)
        self.devices.append(DeviceSettings(self.context.where, {key: values[-1] for key, values in pairs.items()}))

    def take_mon(self, value: str) -> None:
        """Take `-mon`."""
        if self.context.release.covers("11.0") and not any(where.startswith("-mon ") for where, _ in self.monitors):
            self.context.warn(MON_DEPRECATED)
        text, access = _split_access(f",{value}")
        pairs = self.context.read(groups.MONITOR, text[1:])
        monitor = {key: values[-1] for key, values in pairs.items()}
        self.monitors.append((self.context.where, monitor | ({} if access is None else {"access": access})))
        self.context.settings.default_monitor = False

    def take_qmp(self, value: str) -> None:
        """Take `-qmp`."""
        self._device_monitor(value, {"mode": "control"})

    def take_qmp_pretty(self, value: str) -> None:
        """Take `-qmp-pretty`."""
        self._device_monitor(value, {"mode": "control", "pretty": "on"})

    def take_monitor(self, value: str) -> None:
        """Take `-monitor`."""
        self.context.settings.default_monitor = False
        self.context.settings.console_replaced = True
        if value != "none":
            self._device_monitor(value, {"mode": "readline"})

    def take_allowed_path(self, value: str) -> None:
        """Take `-allow-path`."""
        if not os.path.isdir(value):
            raise OptionError(f"'{value}' is no folder")
        self.context.settings.allowed_paths.append(os.path.realpath(value))

    def take_qtest(self, value: str) -> None:
        """Take `-qtest`, of which the last counts."""
        self.qtest = value

    def _device_monitor(self, text: str, monitor: dict[str, str]) -> None:
        """Add a monitor on a device in the short spelling, or on one that -chardev makes."""
        text, access = _split_access(text)
        if access is not None:
            monitor = monitor | {"access": access}
        label = f"compat_monitor{self.compat_monitors}"
        # Up to QEMU 10.0 a device that another option makes takes a number, too.
        if not text.startswith("chardev:") or not self.context.release.covers("11.1"):
            self.compat_monitors += 1
        if text.startswith("chardev:"):
            label = text[8:]
            if not is_identifier(label):
                raise OptionError(BAD_IDENTIFIER.partition("\n")[0])
        else:
            try:
                device = read_device(text, self.context.release)
                self.context.claim("chardev", label)
            except OptionError as error:
                if str(error):
                    self.context.warn(str(error))
                raise OptionError(f"parse error: {text}") from None
            self.devices.append(DeviceSettings(self.context.where, device | {"id": label}))
        self.context.claim("mon", label)
        self.monitors.append((self.context.where, monitor | {"chardev": label, "id": label}))
        self.context.settings.default_monitor = False

    def finish_devices(self) -> None:
        """Name the devices, once each is something that can be opened."""
        settings = self.context.settings
        stdio_taken = False
        for device in self.devices:
            self.context.where = device.origin
            label, backend = self._identity(device.options)
            if backend == "stdio":
                if settings.daemonize:
                    raise OptionError("cannot use stdio with -daemonize")
                if stdio_taken:
                    raise OptionError("cannot use stdio by multiple character devices")
                stdio_taken = True
            if backend in UNMODELLED_KINDS:
                self.context.set_aside(f"-chardev {backend}")
                self.unopened.add(label)
                continue
            device.options = served_options(device.options)
            settings.chardevs[label] = device
        self.context.where = ""
        if settings.nographic and settings.daemonize and settings.default_monitor and not settings.nodefaults:
            raise OptionError("-nographic cannot be used with -daemonize")

    def finish_qtest(self) -> None:
        """Make the device of the qtest protocol, once all others have their names."""
        text, settings = self.qtest, self.context.settings
        if text is None:
            return
        failure = f'Failed to initialize device for qtest: "{text}"'
        if text.startswith("chardev:"):
            if text[8:] not in settings.chardevs:
                raise OptionError(failure)
            settings.qtest = text[8:]
            return
        settings.qtest = QTEST
        try:
            self.context.claim("chardev", QTEST)
            device = served_options(read_device(text, self.context.release) | {"id": QTEST})
        except OptionError as error:
            if str(error):
                self.context.warn(str(error))
            raise OptionError(failure) from None
        if device["backend"] == "stdio" and settings.daemonize:
            raise OptionError("cannot use stdio with -daemonize")
        settings.chardevs[QTEST] = DeviceSettings("", device, failure)

    def _identity(self, device: dict[str, str]) -> tuple[str, str]:
        """Return a device's id and kind."""
        backend = device.get("backend")
        if backend is not None and groups.is_help(backend):
            lines = ["Available chardev backend types: ", *(f"  {name}" for name in KINDS)]
            raise Answered(Question("text", text="\n".join(lines)))
        label = device.get("id")
        if label is None:
            raise OptionError("chardev: no id specified")
        if backend is None:
            raise OptionError(f'chardev: "{label}" missing backend')
        if backend not in KINDS and backend not in UNMODELLED_KINDS:
            raise OptionError(f"'{backend}' is not a valid char driver name")
        return label, backend

    def finish_monitors(self) -> None:
        """Put each monitor on its device."""
        settings = self.context.settings
        used = {settings.qtest}
        for where, monitor in self.monitors:
            self.context.where = where
            mode = monitor.get("mode", "readline")
            pretty = monitor.get("pretty") == "on"
            if mode not in ("readline", "control"):
                raise OptionError(f"Parameter 'mode' does not accept value '{mode}'")
            access = monitor.get("access", "full")
            if access not in ("full", "read-only"):
                raise OptionError(f"Parameter 'access' does not accept value '{access}'")
            label = monitor.get("chardev")
            if label is None:
                raise OptionError("Parameter 'chardev' is missing")
            if label in self.unopened:
                raise OptionError(
                    f"monitors on a character device of this kind are not modelled (QEMU has them): {label}"
                )
            if label not in settings.chardevs:
                raise OptionError(f'chardev "{label}" not found')
            if pretty and mode == "readline":
                raise OptionError("'pretty' is not compatible with HMP monitors")
            if label in used:
                raise OptionError(self.context.release.text("chardev in use", IN_USE).format(label))
            used.add(label)
            name = monitor.get("id")
            if name is None:
                name = f"compat_monitor{self.compat_monitors}"
                self.compat_monitors += 1
            settings.monitors.append(MonitorSettings(where, label, mode, pretty, access == "read-only"))
            settings.config.monitors[name] = "monitor-qmp" if mode == "control" else "monitor-hmp"
            if mode == "readline":
                settings.console_replaced = True
        self.context.where = ""


def _split_access(text: str) -> tuple[str, str | None]:
    """Take `access=`, which QEMU has not, out of what is written about a monitor or its device."""
    before, found, rest = text.partition(",access=")
    if not found or before.endswith(","):
        return text, None
    access, comma, after = rest.partition(",")
    return before + comma + after, access
