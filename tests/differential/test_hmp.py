"""Every HMP command, with right and wrong arguments; and the QMP command that each says it stands for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .oracle import QUIET, RELEASES, comparable, compare, finish, our_command, qemu, start

BACKENDS = "-object memory-backend-ram,id=m,size=1M -object memory-backend-ram,id=n,size=300k,share=on"

ANYWHERE = (
    """
info status|info  status|  info status  |info status x|info status -x|info version x|info name|info name x|info uuid
info uuid x|info kvm|info kvm x|info memdev|info memdev m|info ramblock|info ramblock x|info memory_size_summary
info memory_size_summary 3|info mtree|info mtree -f -o|info mtree -fo|info mtree -of -D|info mtree -f -f|info mtree -x|info mtree x
info mtree -|info mtree --|info mtree -f x|info mtree -D -f|info mtree -o -x -f|info mtree -oD|info mtree  -f   -o
info qom-tree|info qom-tree /objects|info qom-tree absent|info qom-tree /machine/unattached x|info qom-tree ""
info absent|info -f|info "status"|inf status|INFO status|info STATUS|information|absent|absent x|"info status"|info\tstatus
info mtree\t-f|info status;info name|info st|? absent|help absent|help info absent|help "quit"|help quit x
help object_add|help object_del|help qom-get|help qom-set|help qom-list|help stop|help s|help c|help cont|help quit|help q
help system_reset|help info status|help info memdev|help info ramblock|help info name|help info uuid|help info kvm
help info version|help info memory_size_summary|help info memory-devices|info memory-devices|info memory-devices x|help info qom-tree|help help|help ?|help info x y
object_add|object_add memory-backend-ram|object_add memory-backend-ram,id=o|object_add memory-backend-ram,id=o,size=4k x
object_add memory-backend-ram,id=p,size=1X|object_add memory-backend-ram,id=p,size=1M,|object_add memory-backend-ram,,id=p
object_add memory-backend-ram,id=p,size=1.5M|object_add memory-backend-ram,size=1M,id=q,share=maybe|object_add id=q,size=1M
object_add qom-type=memory-backend-ram,id=r,size=1M|object_add memory-backend-ram,id=s,size=1M,host-nodes=0|object_add =
object_add memory-backend-ram,id=s,size=0x1000|object_add memory-backend-ram,id=t,size=-1|object_add ,
object_add memory-backend-ram,id=u,size=1M,size=2M
object_add "memory-backend-ram,id=v,size=1M"|object_add memory-backend-ram,id=m,size=1M|object_add memory-backend-ram,id=w,size=1M,share
object_add memory-backend-ram,id=x,size=1M,no-share|object_add {"qom-type":"memory-backend-ram","id":"y","size":4096}
object_add memory-backend-ram,id=z,size=18446744073709551616|object_add memory-backend-ram,id=z,size=1M,policy=best
object_add memory-backend-ram,id=z,size=1M,prealloc-threads=x|object_add memory-backend-ram,id=z,size=1M,merge=on,dump=no
object_del|object_del m|object_del m|object_del n x|object_del "n"|object_del absent|object_del /objects/n|object_del ""
qom-list|qom-list /objects|qom-list /absent|qom-list absent x|qom-list ""|qom-list /machine/peripheral|qom-list -f
qom-get|qom-get /objects|qom-get /objects/n|qom-get /objects/n size|qom-get /objects/n share|qom-get /objects/n policy
qom-get /objects/n host-nodes|qom-get /objects/n absent|qom-get absent type|qom-get /objects/n size x|qom-get /machine type
qom-get /objects/n type|qom-get "/objects/n" "size"|qom-get /objects type
qom-set|qom-set /objects/n|qom-set /objects/n merge|qom-set /objects/n merge off|qom-get /objects/n merge|qom-set /objects/n merge x
qom-set -j /objects/n merge true|qom-set -j /objects/n merge on|qom-set -j /objects/n merge {|qom-set -x /objects/n merge on
qom-set /objects/n size 4096|qom-set /objects/n absent 1|qom-set absent merge on|qom-set /objects/n merge on off
qom-set /objects/n policy bind|qom-set /objects/n policy best|qom-set -j /objects/n host-nodes [0]|qom-set /objects/n type x
qom-set /objects/n dump "off"|qom-get /objects/n dump|qom-set /objects/n prealloc on|qom-get /objects/n prealloc
qom-set /objects/n prealloc-threads 2|qom-set /objects/n prealloc-threads 0x10|qom-set /objects/n prealloc-threads -1
qom-set /objects/n prealloc-threads x|qom-set -j /objects/n prealloc-threads "3"|qom-set -j /objects/n dump null
qom-set -j /objects/n policy "default"|qom-set -j /objects/n policy 'default'|qom-set -j /objects/n merge true x
stop x|s x|cont x|c x|system_reset x|quit x|q x
""".strip()
    .replace("\n", "|")
    .replace("\\t", "\t")
    .split("|")
)

OURS = {
    "machines", "memslots", "prealloc", "prealloc_cancel", "guest", "guest_run", "guest_stop", "dirty_log",
    "dirty_log_start", "dirty_log_stop", "dirty_log_clear",
}  # fmt: skip
"""The commands that QEMU has not."""

STATES = [
    ("", ["info status", "stop", "info status", "cont", "info status", "cont", "stop", "stop", "info status"]),
    ("", ["s", "info status", "c", "info status", "s", "info status", "c"]),
    ("", ["cont", "system_reset", "info status", "stop", "info status"]),
    ("-name a,debug-threads=on", ["info name", "info uuid"]),
    ("-uuid 6ba7b810-9dad-11d1-80b4-00c04fd430c8", ["info uuid"]),
]

TWINS = (
    """
info status|info version|info name|info uuid|info kvm|info memdev|info ramblock|info memory_size_summary|info mtree|info mtree -f
info mtree -o -D|info mtree -f -o|info memslots|info qom-tree|info qom-tree /objects|qom-list /objects|qom-get /objects/m size
qom-get /objects/m host-nodes|qom-set /objects/m merge off|qom-set -j /objects/m dump false|object_del n|stop|cont|help|help quit
object_add memory-backend-ram,id=k,size=1M,share=on,host-nodes.0=0,policy=bind|object_del k|system_reset
""".strip()
    .replace("\n", "|")
    .split("|")
)


@pytest.mark.parametrize(
    ("arch", "machine", "release"),
    [("s390x", "s390-ccw-virtio", "7.2"), *(("x86_64", "none", release) for release in RELEASES)],
)
def test_lines(arch: str, machine: str, release: str, tmp_path: Path) -> None:
    compare("hmp", arch, f"-M {machine} {BACKENDS} -name vm", ANYWHERE, tmp_path, release=release)


@pytest.mark.parametrize(("options", "lines"), STATES, ids=range(len(STATES)))
@pytest.mark.parametrize("release", RELEASES)
def test_states(options: str, lines: list[str], release: str, tmp_path: Path) -> None:
    compare("hmp", "x86_64", f"-M none {options}", lines, tmp_path, release=release)


def _name(line: str) -> str:
    """The command that a line of help is about."""
    name, *rest = line.partition(" -- ")[0].split() or [""]
    return f"info {rest[0]}" if name == "info" and rest else name.partition("|")[0]


def test_help_lists_nothing_that_qemu_words_otherwise(tmp_path: Path) -> None:
    program = qemu("x86_64")
    if program is None:
        pytest.skip("QEMU 7.2 is not installed")
    lines = ["help", "info", "help info"]
    theirs = finish(start([program, "-M", "none", *QUIET], tmp_path), lines, program)
    ours = finish(start(our_command("x86_64", ["-M", "none", *QUIET]), tmp_path), lines, "ramslot")
    for question, known, found in zip(lines, theirs.replies[1:], ours.replies[1:], strict=False):
        added = [line for line in found.splitlines() if line not in known.splitlines()]
        ours_alone = {_name(line) for line in added} - {"info mtree", "info numa"}  # these take more here
        assert not ours_alone & {_name(line) for line in known.splitlines()}, question
        assert len(found.splitlines()) > 10, question
        names = [line.partition(" -- ")[0] for line in found.splitlines() if " -- " in line]
        assert names == sorted(names), question


@pytest.mark.parametrize(
    "options", ["-M none", "-M pc -m 6G", "-M q35 -accel sim,max-memslots=9", "-M s390-ccw-virtio"]
)
def test_what_a_line_stands_for_gives_what_the_line_shows(options: str, tmp_path: Path) -> None:
    """In three processes: the lines, what they stand for, and these QMP commands."""
    command = our_command("s390x" if "s390" in options else "x86_64", [*f"{options} {BACKENDS}".split(), *QUIET])
    shown = finish(start(command, tmp_path), TWINS, "ramslot").replies[1:-2]
    asked = finish(start(command, tmp_path), [f"{line} --qmp" for line in TWINS], "ramslot").replies[1:-2]
    requests = [json.loads(twin) for twin in asked]
    answers = finish(start(command, tmp_path), list(map(json.dumps, requests)), "ramslot").replies[1:-2]
    assert len(shown) == len(asked) == len(answers) == len(TWINS)
    for line, text, request, answer in zip(TWINS, shown, requests, answers, strict=True):
        _events, _, reply = answer.rpartition("\n")
        assert '"error"' not in reply, (line, request, reply)
        assert all(word in reply for word in numbers(text, request["execute"])), (line, request)
    again = finish(start(command, tmp_path), list(map(json.dumps, requests)), "ramslot").replies[1:-2]
    assert [without_addresses(answer) for answer in again] == [without_addresses(answer) for answer in answers]


def numbers(text: str, command: str) -> set[str]:
    """What a table shows must be in the answer: here the plain numbers of the tables that have them, and all names."""
    if command in ("query-memory-size-summary", "query-memdev", "qom-get"):
        return {word for word in text.split() if word.isdigit()}
    if command == "query-ramblocks":
        return {str(int(word, 16)) for word in text.split() if word.startswith("0x")}
    return set()


def without_addresses(answer: str) -> str:
    _events, _, reply = answer.rpartition("\n")
    message = json.loads(reply) if reply.startswith("{") else {"return": reply}
    value = message.get("return")
    for row in value.get("slots", []) if isinstance(value, dict) else value if isinstance(value, list) else []:
        row.pop("hva", None)
        row.pop("host-address", None)
    return comparable("{", message)
