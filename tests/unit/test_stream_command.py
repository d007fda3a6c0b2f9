"""`ramslot stream` and `ramslot proxy` without a QEMU: words, statuses, files, memory, the bar."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import ramslot
from ramslot.monitor.streams import words as stream_words
from ramslot.monitor.streams.command import run_stream_command
from ramslot.monitor.streams.proxy import run_proxy_command
from ramslot.vm.migration import format as fmt
from ramslot.vm.migration import mapped, writing
from ramslot.vm.migration.devices import own_devices
from ramslot.vm.releases import NEWEST, find_release
from tests.stream_pieces import pages

PAGE = 4096
MIB = 1 << 20
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.path.join(os.path.dirname(str(ramslot.__file__)), ".types")}
DEVICES = own_devices("none", find_release(NEWEST), PAGE, "paused")


def stream(blocks: dict[str, bytes]) -> bytes:
    """Each block wholly, then the devices."""
    listed = writing.block_list([(name, len(content)) for name, content in blocks.items()])
    data = writing.header("none") + writing.section(fmt.SECTION_START, 2, listed)
    for name, content in blocks.items():
        sent = pages(name, 0, content, PAGE, follows=False)
        data += writing.section_head(fmt.SECTION_PART, 2) + sent + writing.section_tail(2)
    return data + writing.section(fmt.SECTION_END, 2, b"") + DEVICES


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "saved"
    path.write_bytes(stream({"a": bytes(range(256)) * 64, "/rom@etc/x": b"x" * PAGE}))
    return path


@pytest.mark.parametrize("words", [["-help"], ["--help"], ["info", "-h"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stream_command("ramslot", words) == 0
    assert capsys.readouterr().out.startswith("usage: ramslot stream info|verify FILE")
    assert run_proxy_command("ramslot", words) == 0
    assert capsys.readouterr().out.startswith("usage: ramslot proxy FROM TO -map")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["look"], "expects info, ls, verify, diff, extract, remap; see 'ramslot stream -help'"),
        (["info"], "expects one file"),
        (["info", "x", "y"], "expects one file"),
        (["diff", "x"], "expects two files"),
        (["info", "x", "-hash"], "info has no -hash"),
        (["info", "x", "--frob"], "--frob: there is no such option"),
        (["extract", "x", "-o"], "-o expects a value"),
        (["extract", "x"], "-o has to say"),
        (["extract", "x", "-o", "y", "-format", "kdump"], "-format kdump: expects sparse, raw or elf"),
        (["extract", "x", "-o", "y", "-format", "elf"], "-format elf is of all memory, and -machine has to say"),
        (["extract", "x", "-o", "y", "-format", "elf", "-machine", "x"], "-machine 'x' is no command line of QEMU"),
        (["extract", "x", "-o", "y", "-machine", "-M pc"], "-machine is for -format elf"),
        (["remap", "x"], "-map has to say"),
        (["remap", "x", "-fit", "-M none", "-map", "a=b"], "-map says what -fit is to find out"),
        (["remap", "x", "-map", "a=b", "-from", "-M none"], "-from is for -fit"),
        (["remap", "x", "-fit", "nonsense"], "'nonsense' is no command line of QEMU"),
        (["remap", "x", "-map", "a=b", "-json"], "-json needs -o"),
        (["info", "x", "-page-size", "3K"], "-page-size 3K: targets have pages of 1024, 2048, 4096"),
        (["info", "/nonexistent/x"], "Could not open '/nonexistent/x': No such file or directory"),
        (["info", "/"], "Could not read '/': Is a directory"),
    ],
)
def test_what_is_said_wrongly(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stream_command("ramslot", words) == 2
    out, errors = capsys.readouterr()
    assert (out, errors.startswith(f"ramslot: stream {words[0]}: {text}")) == ("", True), errors


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["unix:a"], "expects FROM, TO and -map or -fit"),
        (["unix:a", "unix:b"], "expects FROM, TO and -map or -fit"),
        (["exec:cat", "unix:b", "-map", "a=b"], "'exec:cat': a proxy stands between unix: and tcp: sockets"),
        (["unix:/nonexistent/a", "unix:b", "-map", "a=b"], "cannot listen at unix:/nonexistent/a: No such file"),
        (["unix:a", "unix:b", "-map", "a"], "--map 'a': expects SOURCE=NAME"),
    ],
)
def test_a_proxy_is_told_wrongly(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_proxy_command("ramslot", words) == 2
    assert f"ramslot: proxy: {text}" in capsys.readouterr().err


def test_blocks_are_extracted_each_to_its_file_and_none_is_overwritten(saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run_stream_command("ramslot", ["extract", str(saved), "-o", str(out)]) == 0
    assert (out / "a.raw").read_bytes() == bytes(range(256)) * 64
    assert (out / "_rom@etc_x.raw").read_bytes() == b"x" * PAGE
    (out / "_rom@etc_x.raw").unlink()
    (out / "a.raw").write_bytes(b"mine")
    assert run_stream_command("ramslot", ["extract", str(saved), "-o", str(out)]) == 2
    assert [path.name for path in out.iterdir()] == ["a.raw"]
    assert (out / "a.raw").read_bytes() == b"mine"
    words = ["remap", "-map", "a=b", str(saved), "-o", str(out / "a.raw")]
    assert run_stream_command("ramslot", words) == 2
    assert (out / "a.raw").read_bytes() == b"mine"


def test_zeros_that_come_later_are_extracted_too(tmp_path: Path) -> None:
    content = b"x" * PAGE * 8
    sent = pages("a", 0, content, PAGE, follows=False)
    sent += writing.zero_pages("a", 2 * PAGE, 3, PAGE, follows=True)
    data = writing.header("none") + writing.section(fmt.SECTION_START, 2, writing.block_list([("a", len(content))]))
    data += writing.section(fmt.SECTION_PART, 2, sent) + writing.section(fmt.SECTION_END, 2, b"") + DEVICES
    (tmp_path / "saved").write_bytes(data)
    assert run_stream_command("ramslot", ["extract", str(tmp_path / "saved"), "-o", str(tmp_path / "out")]) == 0
    expected = content[: 2 * PAGE] + bytes(3 * PAGE) + content[5 * PAGE :]
    assert (tmp_path / "out" / "a.raw").read_bytes() == expected
    (tmp_path / "other").write_bytes(stream({"a": expected}))
    assert run_stream_command("ramslot", ["diff", str(tmp_path / "saved"), str(tmp_path / "other")]) == 0


def test_a_bar_is_shown_on_a_terminal(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stream_words, "PROGRESS_SECONDS", 0.0)
    assert run_stream_command("ramslot", ["verify", str(saved)]) == 0
    assert capfd.readouterr().err == ""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert run_stream_command("ramslot", ["verify", str(saved)]) == 0
    assert "saved [####" in capfd.readouterr().err


GENERATOR = f"""
import sys
from ramslot.vm.migration import writing, format as fmt
out, size, step = sys.stdout.buffer, {64 << 30}, 1 << 28
out.write(writing.header("none") + writing.section(fmt.SECTION_START, 2, writing.block_list([("a", size)])))
out.write(writing.section_head(fmt.SECTION_PART, 2))
for at in range(0, size, step):
    out.write(writing.zero_pages("a", at, 1024, {PAGE}, follows=at > 0))
    for page in range(at + step // 2, at + step // 2 + (1 << 21), {PAGE}):
        out.write((page | fmt.PAGE | fmt.CONTINUE).to_bytes(8) + b"x" * {PAGE})
out.write(writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"") + {DEVICES!r})
"""
PEAK = "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1], file=sys.stderr)"
"""Of what the program itself had: `getrusage` counts what its parent had when it was made, too."""


@pytest.mark.parametrize("words", [["info"], ["ls", "-hash"], ["remap", "-map", "a=b+1G,c"], ["extract", "-o", "out"]])
def test_memory_does_not_grow_with_the_stream(words: list[str], tmp_path: Path) -> None:
    """64 GiB of memory, of which 0.5 GiB is sent, from a pipe."""
    program = f"import sys; from ramslot.monitor.streams.command import run_stream_command as run; s = run('ramslot', sys.argv[1:]); {PEAK}; sys.exit(s)"
    with subprocess.Popen([sys.executable, "-c", GENERATOR], stdout=subprocess.PIPE, env=ENVIRONMENT) as source:
        command = [sys.executable, "-c", program, words[0], "-", *words[1:]]
        done = subprocess.run(
            command,
            stdin=source.stdout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) < 64 << 10


@pytest.mark.parametrize("words", [["info"], ["ls"], ["verify"], ["extract", "-block", "a", "-o", "out"]])
def test_twelve_tebibytes_with_two_pages_cost_nothing(words: list[str], tmp_path: Path) -> None:
    """At fixed places of a sparse file: time and memory are those of the bitmap."""
    size = 12 << 40
    head = writing.header("none", capabilities=["mapped-ram"]) + writing.section_head(fmt.SECTION_START, 2)
    head += writing.block_total(size) + writing.block_entry("a", size, None)
    bitmap_at = len(head) + mapped.HEAD.size
    pages_at = mapped.pages_after(bitmap_at + mapped.bitmap_bytes(size, PAGE))
    tail = writing.section_tail(2) + writing.section(fmt.SECTION_END, 2, b"") + DEVICES
    last = size // PAGE - 1
    places = {0: head + mapped.head(PAGE, bitmap_at, pages_at), bitmap_at + last // 8: b"\x80", pages_at + size: tail}
    places |= {bitmap_at + 1: b"\1", pages_at + 8 * PAGE: b"x" * PAGE, pages_at + last * PAGE: b"y" * PAGE}
    try:
        with (tmp_path / "saved").open("wb") as file:
            for place, data in places.items():
                file.seek(place)
                file.write(data)
    except OSError as error:
        pytest.skip(f"no file of 12 TiB: {error.strerror}")
    program = f"import sys; from ramslot.monitor.streams.command import run_stream_command as run; s = run('ramslot', sys.argv[1:]); {PEAK}; sys.exit(s)"
    command = [sys.executable, "-c", program, words[0], "saved", *words[1:]]
    done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) < 64 << 10
    if words[0] == "extract":
        out = tmp_path / "out"
        assert (out.stat().st_size, out.stat().st_blocks * 512 < MIB) == (size, True)
        with out.open("rb") as file:
            assert (file.seek(8 * PAGE), file.read(PAGE)) == (8 * PAGE, b"x" * PAGE)
            assert (file.seek(last * PAGE), file.read(PAGE)) == (last * PAGE, b"y" * PAGE)


def test_a_stream_may_begin_later_in_its_file(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "later").write_bytes(b"z" * 5000 + saved.read_bytes())
    later = str(tmp_path / "later")
    for words in (["verify", later, "-offset", "5000"], ["diff", later, str(saved), "-offset", "5000", "-offset", "0"]):
        assert run_stream_command("ramslot", words) == 0
    assert run_stream_command("ramslot", ["info", later, "-offset", "1G"]) == 1
    assert run_stream_command("ramslot", ["info", later, "-offset", "x"]) == 2
    assert run_stream_command("ramslot", ["info", "/dev/null", "-offset", "1"]) == 2
    errors = capsys.readouterr().err
    for text in ("' ends before 0x40000000", "-offset x: expects a size", "-offset is of files, and '/dev/null'"):
        assert text in errors


def test_a_proxy_that_is_told_to_end_leaves_no_socket(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ramslot", "proxy", "unix:here", "unix:there", "-map", "a=b"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE) as proxy:
        while not (tmp_path / "here").exists():
            time.sleep(0.01)
        assert (tmp_path / "here").stat().st_mode & 0o777 == 0o600
        proxy.send_signal(signal.SIGTERM)
        assert proxy.wait(30) == 130
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [
        (b"", 1, "the stream ends at byte 0, in its header"),
        (b"\x16\x03\x01\0\0", 2, "this is TLS"),
        (stream({"q": b"x" * PAGE}), 2, "there is no RAMBlock 'a'; there are: q"),
        (stream({"a": b"x" * PAGE})[:300], 1, "the stream ends at byte 300, in the section 'ram'"),
        (stream({"a": b"x" * PAGE}), 2, "cannot connect to the destination at unix:there: No such file or directory"),
    ],
)
def test_what_a_proxy_does_not_send(data: bytes, status: int, text: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ramslot", "proxy", "unix:here", "unix:there", "-map", "a=b"]
    with (
        subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as proxy,
        socket.socket(socket.AF_UNIX) as source,
    ):
        while not (tmp_path / "here").exists() or source.connect_ex(str(tmp_path / "here")):
            time.sleep(0.01)
        source.sendall(data)
        source.shutdown(socket.SHUT_WR)
        assert proxy.wait(30) == status
        assert proxy.stderr is not None
        assert proxy.stderr.read() == f"ramslot: proxy: {text}\n" if status == 1 else text in proxy.stderr.read()


def test_an_interrupted_extraction_leaves_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ramslot", "stream", "extract", "-", "-block", "a", "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdin=subprocess.PIPE) as extraction:
        assert extraction.stdin is not None
        extraction.stdin.write(stream({"a": b"x" * PAGE * 16})[:9000])
        extraction.stdin.flush()
        while not (tmp_path / "out").exists():
            time.sleep(0.01)
        extraction.send_signal(signal.SIGTERM)
        assert extraction.wait(30) == 130
    assert list(tmp_path.iterdir()) == []


def test_json_of_a_verdict(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_stream_command("ramslot", ["verify", str(saved), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    (tmp_path / "cut").write_bytes(saved.read_bytes()[:9000])
    assert run_stream_command("ramslot", ["verify", str(tmp_path / "cut"), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["problems"]) == (False, ["the stream ends at byte 9000, in the section 'ram'"])
    words = ["remap", "-map", "a=b+8K,c", str(saved), "-o", str(tmp_path / "x"), "--json"]
    assert run_stream_command("ramslot", words) == 0
    blocks = [{"name": "b", "size": 8192}, {"name": "c", "size": 8192}, {"name": "/rom@etc/x", "size": PAGE}]
    assert json.loads(capsys.readouterr().out)["blocks"] == blocks
