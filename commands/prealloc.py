"""Memory that is being preallocated: watched, cancelled."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from . import Arguments, Context

    class Progress(Protocol):
        """Work on memory that takes its time; sizes are in bytes."""

        name: str
        status: str
        length: int

        @property
        def done(self) -> int:
            """How much of it is done."""

        @property
        def seconds(self) -> float:
            """Seconds since the beginning."""


EVENT = "PREALLOC_PROGRESS"


def query_prealloc(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All that is under way."""
    return [describe(preallocation) for preallocation in context.vm.objects.defaults.preallocations]


def prealloc_cancel(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Stop what is under way for a backend; who asked for it gets an error, and nothing of it stays."""
    for preallocation in context.vm.objects.defaults.preallocations:
        if preallocation.name == arguments["id"]:
            preallocation.cancel()
            return {}
    raise VMError(f"no memory is being preallocated for object '{arguments['id']}'")


def describe(work: Progress) -> dict[str, Any]:
    """How far some work is, as `query-prealloc` and its event tell it of a preallocation."""
    done, seconds = work.done, work.seconds
    rate = int(done / seconds) if seconds > 0 else 0
    described = {
        "id": work.name,
        "status": work.status,
        "done": done,
        "total": work.length,
        "elapsed": int(seconds * 1000),
        "rate": rate,
    }
    if rate and work.status == "running":
        described["remaining"] = (work.length - done) * 1000 // rate
    return described


def _render_prealloc(result: list[dict[str, Any]], _words: Any) -> str:
    from ..vm.sizes import size_to_str

    if not result:
        return "no memory is being preallocated\n"
    return "".join(
        f"{shown['id']}: {shown['done'] * 100 // shown['total']}%, {size_to_str(shown['done'])} of "
        f"{size_to_str(shown['total'])}, {size_to_str(shown['rate'])}/s\n"
        for shown in result
    )


HMP = (
    HMPCommand(
        "info prealloc",
        fixed("query-prealloc"),
        _render_prealloc,
        help="show memory that is being preallocated",
        preconfig=True,
    ),
    HMPCommand(
        "prealloc_cancel",
        lambda _vm, words: ("prealloc-cancel", {"id": words["id"]}),
        help="stop preallocating the memory of an object",
        syntax="id",
        parameters=(Word("id", "preallocation-id"),),
        preconfig=True,
        example="prealloc_cancel m",
    ),
)
