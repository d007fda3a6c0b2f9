"""`ramslot replay`: a transcript is run again, and its answers are compared with those of then."""

from __future__ import annotations

import json
import os
import re
import sys

from .recording import CONTINUATION, HEAD, PROMPT

USAGE = """\
usage: {program} replay TRANSCRIPT [-- OPTIONS | -- attach ADDRESS]

runs the lines of what -transcript wrote, on a machine made as then, or by
OPTIONS, or on a QEMU that runs ('{program} attach -help'), and shows what is
answered otherwise, but for the host's addresses, and the order of trees, flat
views and members of JSON, which no two processes have in common. The exit
status is 0 where all is as it was, 1 where it is not, and 2 for what cannot be
run."""
_TREES = re.compile("address-space: |memory-region: |FlatView #[0-9]+\n")
_NUMBER = re.compile("^FlatView #[0-9]+$", re.MULTILINE)
_HOST_ADDRESS = re.compile(r"\b0x0*7[ef][0-9a-f]{10}\b")


def run_replay_command(program: str, words: list[str]) -> int:
    """Carry out `replay WORDS...` and return the exit status."""
    if len(words) != 1 and words[1:2] != ["--"]:
        wanted = words[:1] in (["-help"], ["--help"], ["-h"])
        print(USAGE.format(program=program), file=sys.stdout if wanted else sys.stderr)
        return 0 if wanted else 2
    if words[0] in ("-help", "--help", "-h"):
        print(USAGE.format(program=program))
        return 0
    try:
        with open(words[0], encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except OSError as error:
        print(f"{program}: cannot read '{words[0]}': {error.strerror}", file=sys.stderr)
        return 2
    if not text.startswith(HEAD):
        print(f"{program}: '{words[0]}' is no transcript: its first line is not '{HEAD.strip()} ...'", file=sys.stderr)
        return 2
    from shlex import split

    head, _, body = text.partition("\n")
    return _compare(words[0], body, words[2:] if len(words) > 1 else split(head.removeprefix(HEAD)))


def typed_lines(transcript: str) -> list[str]:
    """The commands of a transcript's body, those of several lines as they were typed."""
    typed: list[str] = []
    goes_on = False
    for line in transcript.splitlines():
        if line.startswith(PROMPT):
            typed.append(line.removeprefix(PROMPT))
            goes_on = True
        elif goes_on and line.startswith(CONTINUATION):
            typed[-1] += f"\n{line.removeprefix(CONTINUATION)}"
        else:
            goes_on = False
    return typed


def _compare(name: str, body: str, options: list[str]) -> int:
    from difflib import unified_diff

    typed = typed_lines(body)
    again = _run(options, "".join(f"{command}\n" for command in typed))
    if again is None:
        return 2
    then, now = (_comparable(each).splitlines(keepends=True) for each in (body, again))
    differences = list(unified_diff(then, now, name, "now"))
    sys.stdout.writelines(differences)
    if not differences:
        print(f"{len(typed)} lines, all answered as before")
    return 1 if differences else 0


def _run(options: list[str], script: str) -> str | None:
    """The transcript's body of a script that a new machine runs; None where that could not be made."""
    from subprocess import DEVNULL, PIPE, run
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        source, transcript = os.path.join(folder, "script"), os.path.join(folder, "transcript")
        with open(source, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(script)
        told = ["-script", source, "--keep-going", "-transcript", transcript]
        command = [sys.executable, "-m", __package__.partition(".")[0], *options, *told]
        done = run(command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, check=False)
        if not os.path.exists(transcript):
            sys.stderr.write(done.stderr.decode("utf-8", "surrogateescape"))
            return None
        with open(transcript, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().partition("\n")[2]


def _comparable(text: str) -> str:
    """A transcript without what is a matter of chance: the host's addresses, the order of trees and of members."""
    answers = re.split(rf"^(?={re.escape(PROMPT)})", _HOST_ADDRESS.sub("0x(host)", text), flags=re.MULTILINE)
    return "".join(map(_comparable_answer, answers))


def _comparable_answer(text: str) -> str:
    typed, end, answer = text.partition("\n")
    if _TREES.match(answer):
        trees = map(_comparable_tree, _NUMBER.sub("FlatView", answer).split("\n\n"))
        answer = "".join(f"{tree}\n\n" for tree in sorted(trees) if tree)
    elif answer.startswith("{"):
        try:
            answer = f"{json.dumps(json.loads(answer), sort_keys=True)}\n"
        except ValueError:
            pass
    return f"{typed}{end}{answer}"


def _comparable_tree(text: str) -> str:
    """A tree or a flat view with those that it is of in the order of their names."""
    lines = text.strip("\n").split("\n")
    heads = [line for line in lines if line.startswith(("address-space: ", ' AS "'))]
    return "\n".join([*sorted(heads), *(line for line in lines if line not in heads)])
