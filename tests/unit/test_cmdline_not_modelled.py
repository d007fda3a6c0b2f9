"""Options of what is not modelled: set aside, told, refused with -strict."""

from pathlib import Path

import pytest

from ramslot.monitor.command_line.options import refuse_unmodelled
from ramslot.monitor.command_line.settings import CommandLineError, Settings

from .command_lines import read, refusal


def test_what_is_not_modelled_is_told_and_refused_with_strict() -> None:
    settings = Settings()
    assert settings.left_out == []
    settings.aside |= {"-rtc": None, "-boot": None}
    settings.unmodelled |= {"-device a": "a.rom, a.ram", "-device b": ""}
    told = [
        "not modelled, memory does not depend on it: -rtc, -boot",
        "not modelled, and memory depends on it: -device a (a.rom, a.ram), -device b",
    ]
    assert settings.left_out == told
    refuse_unmodelled(settings)
    settings.strict = True
    with pytest.raises(CommandLineError) as caught:
        refuse_unmodelled(settings)
    assert caught.value.messages[:-1] == told


@pytest.mark.parametrize(
    ("line", "aside"),
    [
        ("-rtc base=utc -no-shutdown -rtc driftfix=slew", "-rtc, -no-shutdown"),
        ("-boot c -k de -usb", "-k, -boot"),
        ("-machine pc,kernel_irqchip=split,fd-bootchk=off", "-machine kernel-irqchip=, -machine fd-bootchk="),
        ("-kernel k -append a -initrd i", "-kernel, -append, -initrd"),
        ("-machine kernel=k", "-machine kernel="),
        ("-name a,debug-threads=on,process=b", "-name debug-threads=, -name process="),
        ("-overcommit cpu-pm=on", "-overcommit cpu-pm="),
        ("-accel kvm,kernel-irqchip=on,dirty-ring-size=1024", "-accel kernel-irqchip="),
        ("-display gtk,gl=on -vnc :1 -serial none -parallel null", "-display, -vnc"),
        ("-serial pty -serial mon:stdio -serial /dev/ttyS0", "-serial"),
        ("-chardev msmouse,id=a -chardev spicevmc,id=b,name=vdagent", "-chardev msmouse, -chardev spicevmc"),
        ("-global PIIX4_PM.disable_s3=1 -global driver=kvm-pit,property=lost_tick_policy,value=delay", "-global"),
        ("-id 100 -smbios type=1,uuid=x -blockdev null-co,node-name=n", "-id, -smbios, -blockdev"),
        ('-blockdev \'{"driver":"null-co","node-name":"n"}\' -drive if=none,id=d', "-blockdev, -drive"),
    ],
)
def test_what_memory_does_not_depend_on_is_set_aside(line: str, aside: str) -> None:
    settings = read(line)
    assert ", ".join(settings.aside) == aside
    assert not settings.unmodelled
    assert not settings.config.machine_options.keys() - {"usb"}
    assert refusal(f"{line} -strict")[-2].endswith(f"depend on it: {aside}")


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("-loadvm s", {"-loadvm": ""}),
        ("-acpitable data=x", {"-acpitable": "/rom@etc/acpi/tables"}),
        ("-global mch.extended-tseg-mbytes=16", {"-global mch.extended-tseg-mbytes": ""}),
        ("-global VGA.vgamem_mb=32", {"-global VGA.vgamem_mb": ""}),
        ("-machine pc,cxl=on", {"-machine cxl=": ""}),
        ("-machine virt -target aarch64 -kernel k", {"-kernel": ""}),
    ],
)
def test_what_memory_depends_on_is_told_apart(line: str, left_out: dict[str, str]) -> None:
    settings = read(line)
    assert settings.unmodelled == left_out
    assert not settings.aside
    assert refusal(f"{line} -strict")[-1] == "-strict: what is not modelled is refused"


def test_objects_are_there_by_name() -> None:
    settings = read('-object throttle-group,id=i -object \'{"qom-type":"rng-builtin","id":"s"}\'')
    assert settings.config.other_objects == {"i": "throttle-group", "s": "rng-builtin"}
    assert list(settings.aside) == ["-object throttle-group", "-object rng-builtin"]


def test_flags_of_cpus_are_set_aside() -> None:
    settings = read("-M pc -cpu qemu64,+aes,hv_relaxed,phys-bits=42")
    assert (list(settings.aside), settings.unmodelled) == (["-cpu flags"], {})
    assert not read("-M pc -cpu qemu64,phys-bits=42,x2apic=on").aside
    assert read("-M pc -cpu max,host-phys-bits-limit=39").unmodelled == {"-cpu host-phys-bits-limit=": ""}
    assert refusal("-M pc -cpu qemu64,+bogus") == ["Property 'qemu64-x86_64-cpu.bogus' not found"]


def test_a_disk_image_must_be_there(tmp_path: Path) -> None:
    assert refusal("disk.img") == ["disk.img: Could not open 'disk.img': No such file or directory"]
    image = tmp_path / "disk.img"
    image.touch()
    assert read(str(image)).aside == {"a disk image": None}
