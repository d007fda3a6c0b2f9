"""Descriptions of hosts with something wrong anywhere: refused in words, or a host that can be used and told of."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ramslot.commands import Context
from ramslot.commands.host import HMP, query_host
from ramslot.schema import contract
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host.virtual import VirtualHost
from ramslot.vm.host.virtual.reading import expand_short_form, parse_description
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.releases import find_release
from ramslot.vm.steps import run_now

CONTRACT = contract(find_release(None).number)

WHOLE: dict[str, Any] = {
    "page-size": "4K",
    "nodes": [
        {"node": 0, "memory": "2T", "available": "300G", "cpus": "0-31", "distances": [10, 21], "huge-pages": {"1G": {"total": 1600, "free": 1500}, "2M": 1024}},
        {"node": 1, "memory": "2T", "distances": [21, 10]},
    ],
    "local-node": 0,
    "default-huge-page-size": "2M",
    "reserved-huge-pages": {"1G": 20},
    "overcommit": {"policy": 2, "ratio": 80, "limit": None, "swap": "64G", "committed": "1G"},
    "limits": {"memlock": "unlimited", "max-memslots": 509, "max-memslot-size": "4T", "phys-bits": 46, "address-space-bits": 47},
    "cpu-vendor": "GenuineIntel",
    "mounts": [{"path": "/dev/hugepages", "type": "hugetlbfs", "page-size": "1G"}, {"path": "/dev/shm", "type": "tmpfs", "size": "1T"}],
}  # fmt: skip
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([0, 1 << 12, 1 << 40, 1 << 62, 1 << 63, 1 << 64, 10**40, -1]),
    st.floats(allow_nan=True),
    st.text(max_size=6),
    st.sampled_from(
        ["4K", "1G", "2M", "1P", "63P", "-1", "0x10", "1.5G", "0-3", "3-0", "0,,1", "/", "//", "/..", "never"]
    ),
    st.lists(st.integers(-1, 30), max_size=3),
    st.dictionaries(
        st.sampled_from(["2M", "1G", "512G", "total", "free", "node", "memory", "x"]), st.integers(-1, 9), max_size=2
    ),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in inner for place in places(each, (*path, key))]


def use(document: Any) -> None:
    try:
        description = parse_description(document)
    except VMError as error:
        assert str(error)
        assert "\n" not in str(error) or any("\n" in str(part) for part in json.dumps(document).split('"'))
        return
    assert parse_description(json.loads(json.dumps(description.to_json()))) == description
    host = VirtualHost(description)
    before = host.describe()
    config = Config()
    config.machine_type = "none"
    with VirtualMachine(config, host) as vm:
        for kind in ({"qom-type": "memory-backend-ram"}, {"qom-type": "memory-backend-memfd", "hugetlb": True}):
            try:
                run_now(vm.objects.add({**kind, "id": kind["qom-type"], "size": 1 << 21, "prealloc": True}))
            except VMError:
                pass
        told = run_now(query_host(Context(vm, None), {}))  # type: ignore[arg-type]  # no program is needed
        CONTRACT.check_result("query-host", told)
        HMP[0].render(told, {})
    assert host.describe() == before


@settings(max_examples=300, deadline=None)
@example(place=("nodes", 0, "cpus"), value=[1, 0, 1], remove=False)
@example(place=("nodes", 0, "cpus"), value="3,1-2,1", remove=False)
@given(place=st.sampled_from(places(WHOLE)), value=STRANGE, remove=st.booleans())
def test_one_value_is_something_else(place: tuple[Any, ...], value: Any, remove: bool) -> None:
    document = copy.deepcopy(WHOLE)
    holder: Any = document
    for key in place[:-1]:
        holder = holder[key]
    if remove:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    use(document)


KEYS = (
    "nodes",
    "memory",
    "hugepages-2M",
    "hugepages-1G",
    "hugepages-",
    "swap",
    "overcommit",
    "phys-bits",
    "page-size",
    "memlock",
    "x",
)


@settings(max_examples=200, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(KEYS), st.sampled_from(["1", "2", "1G", "3T", "", "-1", "x=y", "never", "64K"])),
        max_size=5,
    )
)
def test_any_short_form(pairs: list[tuple[str, str]]) -> None:
    try:
        document = expand_short_form(",".join(f"{key}={value}" for key, value in pairs))
    except VMError:
        return
    use(document)
