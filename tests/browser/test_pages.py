"""Pages with maps in a real browser: what a person sees, points at, zooms and finds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from ramslot.commands import Context
from ramslot.commands.pictures.document import document, side_of
from ramslot.commands.pictures.page import make_page
from ramslot.vm.config import Config
from ramslot.vm.machine import VirtualMachine

from ..differential.oracle import OUR_ENVIRONMENT
from .chromium import Page

Open = Callable[..., Page]
MACHINE = (
    *("-M", "q35", "-m", "4G,slots=4,maxmem=16G", "-accel", "sim,max-memslot-size=1G"),
    *("-object", "memory-backend-ram,id=m0,size=1G", "-device", "pc-dimm,id=d0,memdev=m0"),
)
OTHER_DIMM = "-M q35 -m 4G,slots=4,maxmem=16G -object memory-backend-ram,id=m0,size=1G -device pc-dimm,id=d0,memdev=m0"


def ramslot(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ramslot", *words], capture_output=True, text=True, env=OUR_ENVIRONMENT, timeout=60
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """A page, and what `why` says in the same machine of many addresses."""
    path = tmp_path_factory.mktemp("page") / "map.html"
    random = Random(2)
    places = [0, 0xBFFFF, 0xC0000, 0xE0000, 0xFFFFF, 1 << 20, 0x80000000, 0xFEC00000, 0xFED00010, (1 << 64) - 1]
    places += [(1 << 32) + (number << 28) + random.randrange(1 << 28) for number in range(60)]
    places += [random.randrange(1 << random.randrange(1, 65)) for _ in range(60)]
    lines = [f"info map --output {path}", *(f"why {place:#x}" for place in places)]
    out = ramslot(*MACHINE, *(word for line in lines for word in ("-c", line)))
    texts = re.split(r"^(?=0x)", out.partition("\n")[2], flags=re.MULTILINE)[1:]
    assert len(texts) == len(places)
    return path, dict(zip(places, texts, strict=True))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "pair.html"
    ramslot("map", "-M pc -nodefaults -m 4G", "-M q35 -nodefaults -m 6G", "-o", str(path))
    return path


def scale(page: Page) -> float:
    """Pixels of a row."""
    found: float = page.evaluate("view.scale")
    return found


def bar(name: str) -> str:
    """The selector of the bar of a range whose name begins so."""
    return f'.body[aria-label^="{name}"]'


def test_it_opens_without_complaint_and_asks_no_one(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])  # the fixture looks at the console and at the requests
    assert page.text("h1") == "pc-q35-11.1, 4 GiB RAM"
    assert page.requests == [machine[0].as_uri()]
    shown = page.text("#space")
    assert "pc.ram @0x100000" in shown and "m0" in shown and "room for memory devices" in shown


def test_a_page_that_complains_is_noticed(open_page: Open, browser: object, tmp_path: Path) -> None:
    (tmp_path / "bad.html").write_text(
        "<script>console.error('x'); fetch('http://127.0.0.1:1/').catch(() => 0); nosuch()</script>"
    )
    page = browser.page()  # type: ignore[attr-defined]
    page.open(tmp_path / "bad.html")
    assert len(page.complaints) >= 2 and "http://127.0.0.1:1/" in page.requests
    page.close()


def test_what_is_said_is_what_why_prints(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    """The differential test of the page's script, in numbers of 64 bits."""
    path, texts = machine
    page = open_page(path)
    host = r"(?m)^(host: +)0x[0-9a-f]+"  # the process is another one at each run of the machine
    for place, text in texts.items():
        said = page.evaluate(f"whyText(page.sides[0], {place}n)")
        expected = text.rstrip().replace(", not allocated yet", "")
        assert re.sub(host, r"\1", said) == re.sub(host, r"\1", expected)


def test_pointing_shows_the_chain(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    page.point(*page.middle(bar("pc.bios @0x20000"), 0.02))
    answer = page.text("#answer")
    assert re.match(r"0xe[0-3][0-9a-f]{3} is pc\.bios \+ 0x2[0-3][0-9a-f]{3} \(rom\)\n", answer)
    why = page.evaluate(f"whyText(page.sides[0], {answer.split()[0]}n)").splitlines()
    assert [line[12:].strip() for line in why[1:]] == page.evaluate(
        "[...document.querySelectorAll('#answer dd div')].map(line => line.textContent)"
    )
    labels = list(dict.fromkeys(line[:12].strip(": ") for line in why[1:]))
    assert [label for label in labels if label] == page.evaluate(
        "[...document.querySelectorAll('#answer dt')].map(label => label.textContent)"
    )
    x, y = page.middle(bar("m0, RAM"))
    page.point(x, y)
    assert "/objects/m0 (memory-backend-ram)" in page.text("#answer")
    assert page.evaluate("getComputedStyle(document.querySelector('.cursor')).display") != "none"


def test_a_click_pins_and_escape_lets_go(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    page.click(*page.middle(bar("m0, RAM")))
    pinned = page.text("#answer h2")
    assert "m0 + 0x" in pinned and page.evaluate("location.hash").startswith("#0x1")
    page.point(*page.middle(bar("pc.rom")))
    assert page.text("#answer h2") == pinned
    page.press("Escape")
    page.point(*page.middle(bar("pc.rom")))
    assert "pc.rom" in page.text("#answer h2") and page.evaluate("location.hash") == ""


def test_a_link_leads_to_an_address(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0], "#0xe0010", width=900, height=500)
    assert page.text("#answer h2") == "0xe0010 is pc.bios + 0x20010 (rom)"


@pytest.mark.parametrize("way", ["wheel", "button", "key"])
def test_zoom(open_page: Open, machine: tuple[Path, dict[int, str]], way: str) -> None:
    page = open_page(machine[0])
    x, y = page.middle(bar("pc.ram @0x100000"), 0.2)
    page.point(x, y)
    before, address = scale(page), page.text("#answer h2").split()[0]
    if way == "wheel":
        page.wheel(x, y, -240, control=True)
    elif way == "button":
        page.click(*page.middle("#in"))
    else:
        page.press("+")
    assert scale(page) > 1.3 * before
    assert page.evaluate("document.querySelector('#space').offsetHeight") > 1.3 * before * page.evaluate("axis.height")
    if way == "wheel":  # what is under the pointer stays there
        page.point(x, y + 1)
        found = int(page.text("#answer h2").split()[0], 16)
        assert abs(found - int(address, 16)) < 64 << 20
    page.press("0")
    assert page.evaluate("map.scrollHeight <= map.clientHeight + 1") or scale(page) == 24


def test_fingers_zoom(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    page.resize(400, 800, mobile=True)
    before = scale(page)
    page.pinch(200, 300, 3)
    assert scale(page) > 2 * before
    page.pinch(200, 300, 0.5)
    assert scale(page) < 2 * before


def test_moving(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0], height=500)
    page.press("+")
    x, y = page.middle("#map", 0.7)
    top = page.evaluate("map.scrollTop")
    page.drag(x, y, -120)
    assert page.evaluate("map.scrollTop") == pytest.approx(top + 120, abs=2)
    assert page.evaluate("location.hash") == ""  # a drag is no click
    page.wheel(x, y, 80)
    page.evaluate("new Promise(done => setTimeout(done, 300))")
    assert page.evaluate("map.scrollTop") == pytest.approx(top + 200, abs=2)


def test_zooming_in_divides_slots(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    for _ in range(4):
        page.press("+")
    page.evaluate("map.scrollTop = 0")
    page.settle()
    whole = page.evaluate("page.sides[0].map.find(range => range.start === 0x100000n).slots.length")
    assert whole == 2
    slots = page.evaluate(
        f"document.querySelector('{bar('pc.ram @0x100000')}').parentNode.querySelectorAll('.slot').length"
    )
    assert slots == whole


def test_search_finds_names_and_addresses(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    page.press("/")
    page.type("M0")
    assert "m0, 1 GiB" in page.text("#found")
    page.press("Enter")
    assert re.match(r"0x1[0-9a-f]{8} is m0 \+ 0x0 \(ram\)", page.text("#answer h2"))
    for typed, answer in (
        ("0xfed00008", "0xfed00008 is hpet + 0x8 (i/o)"),
        ("2G", "0x80000000 is nothing"),
        ("00000000fec00000", "0xfec00000 is ioapic + 0x0"),
        ("18446744073709551615", "0xffffffffffffffff is nothing"),
    ):
        page.evaluate("search.select()")
        page.type(typed)
        page.press("Enter")
        assert page.text("#answer h2").startswith(answer)
    page.evaluate("search.select()")
    page.type("no such thing")
    assert page.text("#found") == "nothing has that name"


def test_the_keyboard_goes_from_range_to_range(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    page.evaluate("map.focus()")
    seen = []
    for _ in range(4):
        page.press("ArrowDown")
        seen.append(page.text("#answer h2").split()[0])
        assert page.evaluate("document.activeElement.className") == "body"
    starts = page.evaluate("page.sides[0].map.map(range => `0x${range.start.toString(16)}`)")
    assert seen == starts[:4]
    page.press("ArrowUp")
    page.press("Enter")
    assert page.evaluate("location.hash") == f"#{starts[2]}"
    page.press("End")
    assert page.evaluate("document.activeElement.ariaLabel").startswith("nothing")


def test_a_screen_reader_finds_all_of_it(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    names = open_page(machine[0]).names()
    buttons = [name for role, name in names if role == "button"]
    assert any(name.startswith("pc.rom, ROM, 128 KiB, 0xc0000 to 0xdffff, slot ") for name in buttons)
    assert {"Zoom in", "Zoom out", "Fit"} <= set(buttons)
    assert ("combobox", "Find a name or an address") in names
    assert ("region", "Map of guest-physical addresses") in names


def contrast(one: list[float], other: list[float]) -> float:
    """Of two colours, as WCAG 2.2 has it."""

    def luminance(colour: list[float]) -> float:
        parts = [part / 255 for part in colour[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read_on_its_ground(open_page: Open, pair: Path, dark: bool) -> None:
    page = open_page(pair, dark=dark)

    def colour(name: str) -> list[float]:
        text = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
        digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
        return [int(digits[at : at + 2], 16) for at in (0, 2, 4)]

    for ground in ("--paper", "--card", "--ram", "--rom", "--romd", "--io", "--slot"):
        assert contrast(colour("--ink"), colour(ground)) > 7
    for text, ground in (("dim", "paper"), ("change", "change-fill"), ("new", "new-fill"), ("gone", "gone-fill")):
        assert contrast(colour(f"--{text}"), colour(f"--{ground}")) > 4.5
    assert (contrast(colour("--paper"), [255, 255, 255]) > 10) == dark


@pytest.mark.parametrize("two", [False, True], ids=["one", "two"])
def test_a_narrow_screen(open_page: Open, machine: tuple[Path, dict[int, str]], pair: Path, two: bool) -> None:
    page = open_page(pair if two else machine[0], width=400, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate("map.scrollWidth <= map.clientWidth")
    narrow = page.evaluate("Math.min(...[...document.querySelectorAll('.body')].map(body => body.offsetWidth))")
    assert narrow > 150


def test_paper(open_page: Open, machine: tuple[Path, dict[int, str]]) -> None:
    page = open_page(machine[0])
    before = scale(page)
    page.evaluate("addEventListener('afterprint', () => { globalThis.printed = true })")
    assert page.pdf().startswith(b"%PDF")
    page.evaluate("new Promise(done => (function wait() { globalThis.printed ? done(1) : setTimeout(wait, 10) })())")
    assert scale(page) == before and not page.evaluate("document.body.className")
    page.evaluate("toPaper()")
    rows = page.evaluate("document.querySelectorAll('#paper tr').length")
    assert rows == 1 + page.evaluate("page.sides[0].map.length")
    assert page.evaluate("space.offsetHeight") <= 900


def add_pieces(vm: VirtualMachine, count: int, step: int) -> None:
    """Let a guest see so many pieces of its RAM once more, far above it, with nothing between two of them."""
    topology, root = vm.topology, vm.machine.memory_space.root
    ram = vm.machine.memory_space.view.ranges[0].region
    with topology.transaction():
        for number in range(count):
            root.add_subregion((16 << 40) + number * step, topology.alias(f"p{number}", ram, number * step, 0x10000))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 TiB and 10,000 ranges, twice: a page of one, and beside it `pair.html`."""
    folder, sides = tmp_path_factory.mktemp("large"), []
    for step in (2 << 20, 3 << 20):
        config = Config()
        config.machine_type, config.ram_size = "q35", 12 << 40
        config.cpu_model, config.host = "qemu64,phys-bits=46", "nodes=8,memory=64T,overcommit=always"
        with VirtualMachine(config) as vm:
            add_pieces(vm, 10_000, step)
            sides.append(side_of(Context(vm, None)))  # type: ignore[arg-type]  # no query here needs the program
    (folder / "map.html").write_text(make_page(document(sides[:1])))
    (folder / "pair.html").write_text(make_page(document(sides)))
    return folder / "map.html"


@pytest.mark.parametrize("name", ["map.html", "pair.html"])
def test_ten_thousand_ranges(open_page: Open, large: Path, name: str) -> None:
    """All of it is in sight at first, and no more elements are there than can be seen, at whatever zoom."""
    page = open_page(large.with_name(name))
    sides = page.evaluate("page.sides.length")
    assert page.evaluate("page.sides[0].map.length") > 20_000
    assert page.evaluate("space.offsetHeight") <= 800 and "ranges: pc.ram" in page.text("#space")
    counts = []
    for _ in range(8):
        counts.append(page.evaluate("document.querySelectorAll('.bar').length"))
        page.wheel(300, 500, -600, control=True)
    assert max(counts) < 200 * sides
    page.press("/")
    page.type(f"pc.ram @{5000 * (2 << 20):#x}")
    page.press("Enter")
    assert page.text("#answer h2") == f"{(16 << 40) + 5000 * (2 << 20):#x} is pc.ram + {5000 * (2 << 20):#x} (ram)"
    assert page.evaluate("document.querySelectorAll('.bar').length") < 200 * sides


# Two machines


def test_what_differs_is_marked_and_named(open_page: Open, pair: Path) -> None:
    page = open_page(pair)
    changes = page.evaluate("page.changes.map(change => [change.mark, change.before, change.after])")
    assert changes
    for mark, before, after in changes:
        for side, number in ((0, before), (1, after)):
            if number is not None:
                found = page.evaluate(f"[...document.querySelectorAll('.side{side}.{mark}')].map(bar => bar.bar.first)")
                assert number in found
    marked = page.evaluate("document.querySelectorAll('.bar:is(.change, .new, .gone, .renumbered)').length")
    assert marked == sum(number is not None for _mark, *numbers in changes for number in numbers)
    assert "resized from 3 GiB to 2 GiB" in page.text("#changes")
    assert page.evaluate("document.querySelectorAll('.badge').length") == len(changes)


def test_the_same_address_is_on_the_same_height(open_page: Open, pair: Path) -> None:
    page = open_page(pair)
    for name in ("pc.rom", "ioapic", "hpet", "pc.ram @0x100000"):
        tops = page.evaluate(
            f"[...document.querySelectorAll('{bar(name)}')].map(body => body.getBoundingClientRect().top)"
        )
        assert len(tops) == 2 and tops[0] == tops[1]


def test_from_difference_to_difference(open_page: Open, pair: Path) -> None:
    page = open_page(pair, height=500)
    count = page.evaluate("page.changes.length")
    seen = []
    for _ in range(count):
        page.press("n")
        seen.append(page.text("#answer .change-text"))
        y = page.evaluate("document.querySelector('.cursor.pinned').getBoundingClientRect().top")
        assert 0 < y < 500
    page.press("p")
    assert page.text("#answer .change-text") == seen[-2]
    assert seen == page.evaluate("page.changes.map(change => change.texts.join('; '))")


def test_a_device_that_moved(open_page: Open, tmp_path: Path) -> None:
    one, other = OTHER_DIMM, f"{OTHER_DIMM},addr=0x200000000"
    path = tmp_path / "moved.html"
    text = ramslot("map", one, other)
    assert "moved from 0x" in text
    ramslot("map", one, other, "-o", str(path))
    page = open_page(path)
    assert "moved" in page.text("#badges") and "moved from 0x" in page.text("#changes")
    data = json.loads(page.evaluate("document.querySelector('#data').textContent"))
    assert any(change["kinds"][0] == "moved" for change in data["changes"])
