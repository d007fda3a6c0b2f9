"""The contract: documents, checks, texts, keyval reading, completion and introspection, without QEMU."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest

from ramslot import schema
from ramslot.schema import ArgumentError, ResultError, contract
from ramslot.schema.documents import documents
from ramslot.schema.types import Array, Builtin, Enum, Object
from ramslot.schema.visiting import first_left, first_unexpected
from ramslot.vm.releases import find_release

CONTRACT = contract(find_release("7.2").number)

Flavour = Literal["cli", "hmp"]

RAM: dict[str, Any] = {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}

KEYWORDS = {
    "$ref", "additionalProperties", "allOf", "const", "description", "enum", "if", "items", "maximum",
    "minimum", "oneOf", "properties", "required", "since", "then", "type", "unevaluatedProperties", "until", "x-earlier", "x-features",
    "x-pairs", "x-unchecked", "x-values",
}  # fmt: skip
"""The part of JSON Schema that `types` reads; another keyword would be checked by jsonschema alone."""


def parse_size(text: str) -> int:
    units = {"k": 2**10, "M": 2**20, "G": 2**30}
    return int(text[:-1]) * units[text[-1]] if text[-1:] in units else int(text)


def refusal(command: str, arguments: dict[str, Any]) -> str:
    with pytest.raises(ArgumentError) as caught:
        CONTRACT.check(command, arguments)
    return str(caught.value)


def schemas_in(part: dict[str, Any], is_schema: bool = True) -> Iterator[dict[str, Any]]:
    """Yield every schema in a part of a document."""
    if is_schema:
        yield part
    for key, value in part.items():
        if key in ("properties", "$defs"):
            for inner in value.values():
                yield from schemas_in(inner)
        elif key in ("items", "if", "then", "arguments", "returns", "data"):
            yield from schemas_in(value)
        elif key == "allOf":
            for inner in value:
                yield from schemas_in(inner)
        elif key in ("commands", "events"):
            for inner in value.values():
                yield from schemas_in(inner, is_schema=False)


def test_every_document_beside_the_loader_is_loaded() -> None:
    folder = Path(schema.__file__).parent
    assert {path.name for path in folder.glob("*.json")} == set(documents())


@pytest.mark.parametrize("name", documents())
def test_document_is_json_schema_in_the_keywords_that_are_read(name: str) -> None:
    document = documents()[name]
    assert document["$id"] == name
    jsonschema.Draft202012Validator.check_schema(document)
    for part in schemas_in(document, is_schema=False):
        jsonschema.Draft202012Validator.check_schema(part)
        assert set(part) <= KEYWORDS


@pytest.mark.parametrize("name", documents())
def test_objects_are_closed_described_and_complete(name: str) -> None:
    parts_of_unions = {"MemoryBackendProperties", "CpuInfoS390", "CpuInstanceProperties", "StatsVCPUFilter"} | {
        f"Numa{kind}Options" for kind in ("Node", "Dist", "HmatLB", "HmatCache")
    }
    for key, part in documents()[name].get("$defs", {}).items():
        if part.get("type") != "object":
            continue
        for member, declaration in part["properties"].items():
            assert declaration.get("description"), (key, member)
        assert set(part.get("required", ())) <= set(part["properties"])
        is_closed = part.get("additionalProperties", part.get("unevaluatedProperties", True)) is False
        is_part = (
            key in parts_of_unions
            or key.endswith("Wrapper")
            or key.startswith(("SchemaInfo", "MemoryBackend", "ThreadContext", "Secret", "Iothread"))
            or part.get("x-unchecked")
        )
        assert is_closed or is_part, key


def test_every_command_and_event_has_types_and_a_description() -> None:
    for name, command in CONTRACT.commands().items():
        assert command.name == name
        assert command.description
        assert isinstance(CONTRACT.types.arguments(CONTRACT.commands()[name]), Object)
        assert isinstance(CONTRACT.types.returns(CONTRACT.commands()[name]), Builtin | Enum | Array | Object)
    assert set(CONTRACT.events()) == {
        *("SHUTDOWN", "POWERDOWN", "RESET", "STOP", "RESUME", "PREALLOC_PROGRESS", "GUEST_ENDED"),
        *("DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR", "ACPI_DEVICE_OST"),
        *("MEMORY_DEVICE_SIZE_CHANGE", "BALLOON_CHANGE", "MIGRATION", "MIGRATION_PASS", "DUMP_COMPLETED"),
    }


def test_commands_know_their_subject_and_origin() -> None:
    assert CONTRACT.commands()["qom-get"].subject == "qom"
    assert CONTRACT.commands()["query-memslots"].since == "ramslot 0.1"
    assert not CONTRACT.commands()["stop"].allow_oob


def test_plain_use_loads_neither_documents_early_nor_jsonschema() -> None:
    program = (
        "import sys; from ramslot import schema; from ramslot.schema import documents\n"
        "assert not documents._documents\n"
        "contract = schema.contract((11, 1))\n"
        "contract.check('query-status', {}); contract.check('qom-get', {'path': '/', 'property': 'type'})\n"
        "contract.check('object-add', {'qom-type': 'memory-backend-ram', 'id': 'm', 'size': 1})\n"
        "heavy = {'jsonschema', 'referencing', 'typing', 'dataclasses', 'pathlib', 'importlib.resources'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path}\n{program}"],
                         capture_output=True, text=True, check=True)  # fmt: skip
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("query-status", {}),
        ("qom-set", {"path": "/", "property": "x", "value": None}),
        ("qom-set", {"path": "/", "property": "x", "value": {"a": [1, 2.5]}}),
        ("qom-list-types", {"abstract": True}),
        ("query-mtree", {"owner": True}),
        ("qmp_capabilities", {"enable": ["oob"]}),
        ("object-add", RAM),
        ("object-add", {**RAM, "host-nodes": [0, 65535], "policy": "bind", "prealloc-threads": 4294967295}),
        ("object-add", {**RAM, "size": 2**64 - 1}),
        ("object-add", {**RAM, "size": -4096}),
        ("object-add", {**RAM, "qom-type": "memory-backend-file", "mem-path": "/x", "align": 0, "readonly": True}),
        ("object-add", {**RAM, "qom-type": "memory-backend-memfd", "hugetlb": True, "hugetlbsize": 2097152}),
    ],
)
def test_right_arguments_pass(command: str, arguments: Any) -> None:
    CONTRACT.check(command, arguments)


@pytest.mark.parametrize(
    ("command", "arguments", "text"),
    [
        ("query-status", {"a": 1}, "Parameter 'a' is unexpected"),
        ("qom-get", {}, "Parameter 'path' is missing"),
        ("qom-get", {"path": 1}, "Invalid parameter type for 'path', expected: string"),
        ("qom-get", {"path": "/"}, "Parameter 'property' is missing"),
        ("qom-get", {"zz": 1, "path": None, "property": 3}, "Invalid parameter type for 'path', expected: string"),
        ("query-mtree", {"owner": 1}, "Invalid parameter type for 'owner', expected: boolean"),
        ("human-monitor-command", {"command-line": "x", "cpu-index": 1.0},
         "Invalid parameter type for 'cpu-index', expected: integer"),
        ("human-monitor-command", {"command-line": "x", "cpu-index": 2**63},
         "Invalid parameter type for 'cpu-index', expected: integer"),
        ("qmp_capabilities", {"enable": ["x"]}, "Parameter 'null' does not accept value 'x'"),
        ("object-add", {"qom-type": "rng-random", "id": "a"}, "Parameter 'qom-type' does not accept value 'rng-random'"),
        ("object-add", {"qom-type": ["x"], "id": 3}, "Invalid parameter type for 'qom-type', expected: string"),
        ("object-add", {"qom-type": "memory-backend-ram"}, "Parameter 'id' is missing"),
        ("object-add", {**RAM, "size": "1M"}, "Parameter 'size' expects uint64"),
        ("object-add", {**RAM, "size": True}, "Parameter 'size' expects uint64"),
        ("object-add", {**RAM, "size": 2**64}, "Parameter 'size' expects uint64"),
        ("object-add", {**RAM, "host-nodes": [0, "a"]}, "Parameter 'host-nodes[1]' expects uint64"),
        ("object-add", {**RAM, "host-nodes": [0, 65536]}, "Parameter 'null' expects uint16_t"),
        ("object-add", {**RAM, "prealloc-threads": -1}, "Parameter 'prealloc-threads' expects uint32_t"),
        ("object-add", {**RAM, "seal": True}, "Parameter 'seal' is unexpected"),
        ("object-add", {**RAM, "size": "x", "merge": "x"}, "Invalid parameter type for 'merge', expected: boolean"),
    ],
)  # fmt: skip
def test_wrong_arguments_get_qemus_text(command: str, arguments: Any, text: str) -> None:
    assert refusal(command, arguments) == text


def test_unknown_command_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        CONTRACT.check("no-such-command", {})


def test_deep_nesting_is_refused_as_anything_else() -> None:
    deep: list[Any] = []
    for _ in range(20_000):
        deep = [deep]
    assert refusal("qom-get", {"path": deep, "property": "x"}) == "Invalid parameter type for 'path', expected: string"
    assert refusal("stop", {"x": deep}) == "Parameter 'x' is unexpected"
    assert refusal("qom-set", {"path": "/", "value": deep}) == "Parameter 'property' is missing"


def test_names_that_are_no_unicode_are_refused() -> None:
    assert refusal("stop", {"\ud800": 1, "b": 2}).endswith("is unexpected")


def test_first_unexpected_is_that_of_qemus_hash_table() -> None:
    assert first_unexpected(["zz", "path", "aa", "property", "mm"], ("path", "property")) == "aa"
    assert first_unexpected(["path"], ("path",)) is None
    assert first_left([f"n{number}" for number in range(9)], ("n0",)) == "n1"


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("query-status", {"running": False, "singlestep": False, "status": "prelaunch"}),
        ("query-name", {}),
        ("stop", {}),
        ("qom-get", None),
        ("query-cpus-fast", [{"cpu-index": 0, "qom-path": "/x", "thread-id": 3, "target": "x86_64"}]),
        ("query-memslots", {"accelerator": "sim", "max-memslots": 509, "slots": []}),
        ("query-flatviews", [{"address-spaces": [{"name": "memory", "root": "system"}], "ranges": []}]),
        (
            "query-mtree",
            {
                "address-spaces": [
                    {
                        "names": ["memory"],
                        "root": {
                            "name": "system", "start": 0, "end": 2**64 - 1, "priority": 0, "type": "i/o",
                            "enabled": True,
                            "owner": {"kind": "obj", "relation": "parent", "path": "/machine/unattached"},
                            "subregions": [
                                {
                                    "name": "low", "start": 0, "end": 4095, "priority": -1, "type": "ram",
                                    "enabled": True, "alias": {"name": "ram", "offset": 4096}, "subregions": [],
                                }
                            ],
                        },
                    }
                ],
                "regions": [],
            },
        ),
    ],
)  # fmt: skip
def test_right_results_pass(command: str, value: Any) -> None:
    CONTRACT.check_result(command, value)


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("query-status", {"running": False, "singlestep": False, "status": "asleep"}),
        ("query-status", {"running": False, "singlestep": False}),
        ("stop", None),
        ("stop", {"extra": 1}),
        ("query-memory-size-summary", {"base-memory": -1}),
        ("query-memory-size-summary", {"base-memory": 1.0}),
        ("query-cpus-fast", [{"cpu-index": 0, "qom-path": "/x", "thread-id": 3, "target": "s390x"}]),
        ("query-memslots", {"accelerator": "sim", "max-memslots": 509, "slots": [{}]}),
    ],
)
def test_wrong_results_are_found(command: str, value: Any) -> None:
    with pytest.raises(ResultError):
        CONTRACT.check_result(command, value)


def test_event_data_is_checked() -> None:
    CONTRACT.check_event("SHUTDOWN", {"guest": False, "reason": "host-signal"})
    CONTRACT.check_event("STOP", {})
    with pytest.raises(ResultError):
        CONTRACT.check_event("SHUTDOWN", {"guest": False, "reason": "boredom"})


@pytest.mark.parametrize(
    ("flavour", "pairs", "values"),
    [
        ("cli", {"size": "4k", "share": "yes", "prealloc-threads": "0x10"},
         {"size": 4096, "share": True, "prealloc-threads": 16}),
        ("cli", {"size": ["x", "1M"]}, {"size": 2**20}),
        ("cli", {"size": "1M", "host-nodes": "3"}, {"size": 2**20, "host-nodes": [3]}),
        ("cli", {"size": "1M", "host-nodes": ["0-2", "010"]}, {"size": 2**20, "host-nodes": [0, 1, 2, 8]}),
        ("hmp", {"size": "1", "host-nodes": ["0", " 7"]}, {"size": 1, "host-nodes": [0, 7]}),
        ("hmp", {"size": "1", "host-nodes": []}, {"size": 1, "host-nodes": []}),
        ("hmp", {"size": "1", "prealloc-threads": "-18446744073709551615"}, {"size": 1, "prealloc-threads": 1}),
    ],
)  # fmt: skip
def test_keyval_becomes_arguments(flavour: Flavour, pairs: dict[str, Any], values: dict[str, Any]) -> None:
    common = {"qom-type": "memory-backend-ram", "id": "m"}
    arguments = CONTRACT.from_keyval("object-add", {**common, **pairs}, flavour, parse_size)
    assert arguments == {**common, **values}
    CONTRACT.check("object-add", arguments)


@pytest.mark.parametrize(
    ("pairs", "cli", "hmp"),
    [
        ({"size": "1X"}, "Parameter 'size' expects a size value", "Parameter 'size' expects size"),
        ({"foo": "1"}, "Invalid parameter 'foo'", "Parameter 'foo' is unexpected"),
        ({"share": "1"}, "Parameter 'share' expects 'on' or 'off'", "Parameter 'share' expects 'on' or 'off'"),
        ({"policy": "x"}, "Parameter 'policy' does not accept value 'x'",
         "Parameter 'policy' does not accept value 'x'"),
        ({"host-nodes": "0-x"}, "Parameter 'host-nodes' expects a uint64 value or range",
         "Invalid parameter type for 'host-nodes', expected: array"),
        ({"prealloc-threads": "1k"}, "Parameter 'prealloc-threads' expects a uint64 value",
         "Parameter 'prealloc-threads' expects integer"),
        ({"prealloc-threads": "4294967296"}, "Parameter 'prealloc-threads' expects uint32_t",
         "Parameter 'prealloc-threads' expects uint32_t"),
    ],
)  # fmt: skip
def test_keyval_mistakes_have_two_wordings(pairs: dict[str, Any], cli: str, hmp: str) -> None:
    wordings: list[tuple[Flavour, str]] = [("cli", cli), ("hmp", hmp)]
    for flavour, text in wordings:
        with pytest.raises(ArgumentError) as caught:
            CONTRACT.from_keyval("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": "1", **pairs},
                               flavour, parse_size)  # fmt: skip
        assert str(caught.value) == text


def test_signed_options_have_their_own_text() -> None:
    pairs = {"command-line": "info name", "cpu-index": "x"}
    with pytest.raises(ArgumentError, match=r"^Parameter 'cpu-index' expects an int64 value$"):
        CONTRACT.from_keyval("human-monitor-command", pairs, "cli", parse_size)
    pairs["cpu-index"] = "-3"
    assert CONTRACT.from_keyval("human-monitor-command", pairs, "cli", parse_size)["cpu-index"] == -3
    assert CONTRACT.from_keyval("human-monitor-command", pairs, "hmp", parse_size)["cpu-index"] == -3


def test_properties_for_completion() -> None:
    assert [member.name for member in CONTRACT.properties("object-add")] == ["qom-type", "id"]
    members = {member.name: member for member in CONTRACT.properties("object-add", "memory-backend-memfd")}
    assert list(members)[:3] == ["qom-type", "id", "dump"]
    assert "seal" in members
    assert "mem-path" not in members
    assert members["policy"].values == ("default", "preferred", "bind", "interleave")
    assert members["share"].values == ("off", "on")
    assert members["host-nodes"].type.name == "[uint16]"
    assert members["size"].type.name == "size"
    assert members["size"].required
    assert "bytes" in members["size"].description
    with pytest.raises(KeyError):
        CONTRACT.properties("object-add", "rng-random")


def test_introspection_is_valid_and_closed() -> None:
    entries = CONTRACT.introspect()
    CONTRACT.check_result("query-qmp-schema", json.loads(json.dumps(entries)))
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names)
    for entry in entries:
        references = [entry[key] for key in ("arg-type", "ret-type", "element-type") if key in entry]
        references += [member["type"] for member in entry.get("members", ()) if "type" in member]
        references += [variant["type"] for variant in entry.get("variants", ())]
        assert set(references) <= set(names), entry
    described = {entry["name"] for entry in entries if entry["meta-type"] == "command"}
    assert described == set(CONTRACT.commands())


def test_introspection_masks_names_and_widths() -> None:
    entries = {entry["name"]: entry for entry in CONTRACT.introspect()}
    assert entries["0"] == {"name": "0", "meta-type": "object", "members": []}
    assert entries["stop"] == {"name": "stop", "meta-type": "command", "arg-type": "0", "ret-type": "0"}
    options = entries[entries["object-add"]["arg-type"]]
    assert options["tag"] == "qom-type"
    variant = {variant["case"]: variant["type"] for variant in options["variants"]}["memory-backend-ram"]
    size = next(member for member in entries[variant]["members"] if member["name"] == "size")
    assert size == {"name": "size", "type": "int"}
    masked = [name for name, entry in entries.items() if entry["meta-type"] in ("object", "enum")]
    assert all(name.isdecimal() for name in masked)
