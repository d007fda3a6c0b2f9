"""The same bytes to real QEMU and to a session: the same answers, line by line, for good input and for bad."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from ramslot.commands.json_stream import tells_places
from ramslot.monitor.qmp import NEED_DATA, Answer, QMPSession, Request
from ramslot.schema.visiting import first_unexpected
from ramslot.vm.releases import find_release

from .oracle import qemu

VERSIONS = [release for release in ("7.2", "11.1") if qemu("x86_64", release)]
"""The two between which the parser's words changed."""
pytestmark = pytest.mark.skipif(not VERSIONS, reason="no qemu-system-x86_64 is installed")

HELLO = b'{"execute":"qmp_capabilities"}'
HELLO_OOB = b'{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}'
# 0xFF ends whatever an input left open, by one more error; the answer to the question behind it ends the answers.
MARK = b'\xff{"execute":"query-name","id":"mark %d"}'


class RealQEMU:
    """A QEMU on a pair of pipes."""

    def __init__(self, release: str, device: str = "-qmp") -> None:
        program = qemu("x86_64", release)
        assert program
        arguments = ["-M", "none", "-display", "none", "-nodefaults", "-S", device, "stdio"]
        self._process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._output = b""
        self._marks = 0

    def ask(self, data: bytes) -> list[bytes]:
        """Send `data`; return what comes, without greeting and events, up to the mark."""
        self._marks += 1
        mark = b'"mark %d"' % self._marks
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(data + MARK % self._marks)
        while mark not in self._output or not self._output.endswith(b"}\r\n"):
            part = self._process.stdout.read(65536)
            assert part, "QEMU ended"
            self._output += part
        output, self._output = self._output, b""
        return output.splitlines(keepends=True)[:-1]

    def close(self) -> None:
        with self._process:
            self._process.kill()


class Ours:
    """A session, and as much of a VM as the questions need."""

    def __init__(self, release: str, pretty: bool = False) -> None:
        self._session = QMPSession(pretty=pretty, places=tells_places(find_release(release)))
        self._marks = 0

    def ask(self, data: bytes) -> list[bytes]:
        self._marks += 1
        self._session.receive(data + MARK % self._marks)
        output = b""
        while (event := self._session.next_event()) is not NEED_DATA:
            if isinstance(event, Answer):
                output += event.data
            else:
                assert isinstance(event, Request)
                output += self._execute(event)
        return output.splitlines(keepends=True)[:-1]

    def _execute(self, request: Request) -> bytes:
        session = self._session
        if request.command != "query-name":
            return session.fail_not_found(request)
        if request.oob:
            return session.fail_not_oob(request)
        if (unexpected := first_unexpected(request.arguments, ())) is not None:
            return session.fail(request, "GenericError", f"Parameter '{unexpected}' is unexpected")
        return session.reply(request, {})


def pair_after(release: str, hello: bytes) -> Iterator[tuple[RealQEMU, Ours]]:
    real, ours = RealQEMU(release), Ours(release)
    real.ask(hello)
    ours.ask(hello)
    yield real, ours
    real.close()


@pytest.fixture(scope="module", params=VERSIONS)
def in_band(request: pytest.FixtureRequest) -> Iterator[tuple[RealQEMU, Ours]]:
    yield from pair_after(request.param, HELLO)


@pytest.fixture(scope="module", params=VERSIONS)
def release(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=[HELLO, HELLO_OOB], ids=["in-band", "oob"])
def pair(release: str, request: pytest.FixtureRequest) -> Iterator[tuple[RealQEMU, Ours]]:
    yield from pair_after(release, request.param)


def parsed(lines: list[bytes]) -> list[Any]:
    # The members of a client's own id may come back in another order; only that.
    return [json.loads(line) for line in lines]


def compare(pair: tuple[RealQEMU, Ours], data: bytes) -> None:
    real, ours = (side.ask(data) for side in pair)
    assert ours == real or parsed(ours) == parsed(real), data


VALUES = r"""
0 -0 1 -1 1.0 -0.0 1e5 1E+5 1.5 0.1 1e-7 1e15 1e16 1e17 1e22 1e300 1e400 -1e400 1e-400 2.5e-310 5e-324
123456.789 0e0 9223372036854775807 9223372036854775808 18446744073709551615 18446744073709551616
-9223372036854775808 -9223372036854775809 99999999999999999999999 3.141592653589793238 0.30000000000000004 "é"
"\u00e9" "\u0000" "a\u0000b" "\u0001\u001f\u007f\u0080\u009f" "\b\f\n\r\t" "\/" "/" "\'" '\"' 'a"b' "<>&"
"\ud83d\ude00" "😀" "\ufffd" "\uFFFC" null true false [] {} [1,2,"a"] {"a":1} {"b":{"c":[]}} [[],{},[{}]] '' ""
"""

REQUESTS = r"""
{"execute":true}
{"execute":"x","arguments":[]}
{"execute":"x","arguments":null}
{"execute":"query-name","extra":1}
{"extra":1,"execute":3}
{"a":1,"execute":3}
{"b":1,"execute":3}
{"zzz":1,"aaa":2,"mmm":3}
{"execute":1,"arguments":2}
{"execute":3,"id":1}
{"id":{"a":1}}
{"id":null,"execute":"query-name"}
{"execute":"query-name","arguments":{}}
{"execute":"query-name","arguments":{"a":1}}
{"execute":"query-name","arguments":{"a":1,"b":2},"id":2}
{"execute":"nope","arguments":{"a":1}}
{"execute":"query-name\u0000x"}
{"execute":"a\"é"}
{"execute":""}
{"execute":"query-name","execute":"query-name"}
{"arguments":3}
{"\u0000":1}
{"":1}
{"exe\u0063ute":"query-name"}
{'execute':'query-name'}
{"exec-oob":"query-name"}
{"exec-oob":"query-name","id":1}
{"exec-oob":"nope"}
{"exec-oob":1}
{"exec-oob":1,"arguments":2}
{"exec-oob":"qmp_capabilities"}
{"exec-oob":"query-name","extra":2}
{"exec-oob":"query-name","arguments":3}
{"exec-oob":"query-name","arguments":{"x":1}}
{"execute":"query-name","exec-oob":"query-name"}
{"execute":1,"exec-oob":"x"}
{"exec-oob":null,"execute":"x"}
{"execute":"x","exec-oob":"x","arguments":2}
{"execute":"qmp_capabilities"}
{"execute":"qmp_capabilities","id":5}
{"execute":"qmp_capabilities","arguments":{"enable":["x"]}}
{"execute":"query-name"}{"execute":"query-name"}1 {"execute":"query-name"}
[{"execute":"query-name"}]
""".strip().splitlines()

BAD_TEXT = r"""
{] [} {"a":[} {"a":[}] {"a":[1}] [{]} [[}]] {{]} } ] : , { [ {"a" {"a": {"a":1, {:} {,} [,] [1,] [1,,2] {"a":1,}
{"a":1,,"b":2} {"a""b"} {"a"1} {"a":} {"a"} {"a":1,2} {"a":1,"b"} {"a":1"b":2} {"a":1:2} {"a"::1} ["a":1] [1"a"]
[1'a'] {1:2} {null:1} {a:1} {[]:1} {{}:1} {[1[2]]:1} {{"a":1,"a":1}:1} {"a":1,"a":2} {"a":{"b":1,"b":2}}
{"a":1,"a":nul} {"a":1,"a"2} {"a":1] nul, True, xyz, x1, a_b, a-b, aB, NaN, [NaN] [-Infinity] [truefalse] +1,
.5, 1., 1.e, 1e, 1e+, 1.5E+, 1e5, 1x, 1.5.2, 1e5.2, 0x10, 01, -01, 00, -, --1, -a, 0e, -0e0, 0E1, [1-2] %p %d
{%p} {"a":%d} /*x*/ //x @ ! ` ; {"a":1;"b":2} A{} A[] A:2, -{} 1e{} "\x" "\U0041" "\u12" "\u123g" "\u" "\u%p"
"\u+123" "\ud800" "\udc00" "\ud800\u0041" "\ud800\ud800" "\ud800\ud800\udc00" "\udbff\udfff" "\ud83f\udffe"
"\uffff" "\uFFFE" "\ufdd0" "\ufdf0" "\ud800x" '\u12' "\uabc\"" "\u\u0041" "\ud800\uDC0x" {"\x":1}
["\x","\ud800"] [1"\x"] "abc "\"
"""

BAD_BYTES = [
    b"{\x01\x02", b"{\t", b'"abc\n', b'"abc\tdef" ', b'"a\x01b" ', b"'abc\n", b"\x00", b'"\x00" ', b"\x7f",
    b"\x80", b"\xc3\xa9 ", b'"\xff" ', b'"\xfe"', b'{"a":"\xff"}', b"A\n2 ", b"A\t2\n3 ", b"A\x002 ",
    b"A\xfe2 ", b"A\xfd2\n", b"-\n1 ", b'"\\\n" ', b'"\\\x80" ', b'"\\\xff" ', b'"\\u\xc3\xa9" ',
    b'"\\u12\x80" ', b'"a\\x\x80" ', b'"a\x80\\x" ', b"\xef\xbb\xbf{}", b"{}\x0c{}", b"[" * 1024,
    b"[" * 1024 + b"]" * 1024, b"[" * 1025 + b"]" * 3, b"[" * 1025 + b"]" * 1026 + b"1 ", b"[1 1" + b"[" * 1025 + b"]",
    b"[" * 1024 + b"{" + b"]" * 1024 + b"2 ", b"[" * 1025 + b"}}", b"[" * 1025 + b"\x01", b'{"a":' * 1025 + b"1}",
    b'{"id":' + b"[" * 1023 + b"]" * 1023 + b"}",
]  # fmt: skip

SEQUENCES = [
    b"\xc0\x80", b"\xc0\x81", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80",
    b"\xf0\x8f\xbf\xbf", b"\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xc3(",
    b"\xe2\x82", b"\xe2(", b"\xf0\x9f\x98", b"\xf0\x9f(", b"\xed\xa0\x80\xed\xb0\x80", b"\xef\xbf\xbf",
    b"\xef\xb7\x90", b"\xf4\x8f\xbf\xbd", b"\xf4\x8f\xbf\xbe", b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf",
    b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf", b"\xe9\xe9", b"\xf0\xe9\x80\x80", b"\xe0\xc0\x80",
]  # fmt: skip


def test_ids_come_back_alike(pair: tuple[RealQEMU, Ours]) -> None:
    for value in VALUES.split():
        real, ours = (side.ask(b'{"execute":"query-name","id":' + value.encode() + b"}") for side in pair)
        assert ours == real, value


def test_requests(pair: tuple[RealQEMU, Ours]) -> None:
    for line in REQUESTS:
        compare(pair, line.encode())


def test_bad_json(pair: tuple[RealQEMU, Ours]) -> None:
    for text in BAD_TEXT.split():
        compare(pair, text.encode())
        compare(pair, text.encode() + b" \n")
    for data in BAD_BYTES:
        compare(pair, data)
    for sequence in SEQUENCES:
        for data in (b'{"execute":"query-name","id":"%s"}', b'"A%sZ\n', b'"\\u1%s",', b"[%s]"):
            compare(pair, data % sequence)


@pytest.mark.parametrize("seed", range(4))
def test_random_input(in_band: tuple[RealQEMU, Ours], seed: int) -> None:
    # With out-of-band execution QEMU 7.2 aborts when its queue is full and one byte ends two pieces of input.
    chance = random.Random(seed)
    whole = [line.encode() for line in REQUESTS if "oob" not in line] + [
        b'{"execute":"query-name","id":[1,-2.5e3,{"a":null,"b":[true]}]}',
        b'{"execute":"query-name","id":"a\\u00e9\\ud83d\\ude00\\n\xc3\xa9\xf0\x9f\x98\x80\xc0\x80"}',
        b"[1,-2,3e5,[true,false,null],{\"k\":'v'}] nul 12 ",
    ]
    parts = [text.encode() for text in BAD_TEXT.split()] + SEQUENCES + [bytes([byte]) for byte in range(256)]
    parts += [bytes([byte]) for byte in b"{}[],:\"'\\ \n\t0123456789-.eE\xff"] * 8
    for _ in range(500):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(data) + 1)
            data[start : start + chance.randint(0, 2)] = chance.choice((b"", chance.choice(parts)))
        compare(in_band, bytes(data))


@pytest.mark.parametrize("device", ["-qmp", "-qmp-pretty"])
def test_negotiation(device: str, release: str) -> None:
    arguments = [
        '{"enable":["x"]}', '{"enable":["oob","x"]}', '{"enable":"oob"}', '{"enable":[1]}', '{"enable":{}}',
        '{"enable":null}', '{"enable":["oob",1]}', '{"foo":1}', '{"enable":["oob"],"foo":1}',
        '{"foo":1,"enable":["x"]}', '{"enable":[["oob"]]}', '{"enable":["x\\u0000é"]}', '{"a":1,"b":2}',
        '{"zz":1,"yy":3,"xx":4}', '{"":1}', "[]", "3", "{}",
    ]  # fmt: skip
    data = b"".join(
        [line.encode() for line in REQUESTS if "qmp_capabilities" not in line]
        + [b'{"execute":"qmp_capabilities","id":7,"arguments":%s}' % argument.encode() for argument in arguments]
        + [HELLO, b'{"execute":"query-name","id":[{},[],[1],{"a":{"b":[null,1.5]}}]}']
    )
    real, ours = RealQEMU(release, device), Ours(release, pretty=device == "-qmp-pretty")
    try:
        expected = b"".join(real.ask(data))
    finally:
        real.close()
    greeting = expected.index(b"}\r\n{") + 3 if device == "-qmp" else expected.index(b"\r\n}\r\n") + 5
    assert b"".join(ours.ask(data)) == expected[greeting:]
