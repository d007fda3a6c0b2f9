"""The two grammars of options, flat and with a tree of keys."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.commands.keyval import OptionError, parse_keyval, parse_opts


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("x", [("k", "x")]),
        ("x,,y", [("k", "x,y")]),
        ("x,,", [("k", "x,")]),
        ("x,", [("k", "x")]),
        (",a=1", [("k", ""), ("a", "1")]),
        ("a=1,a=2", [("a", "1"), ("a", "2")]),
        ("a=b=c,,d,e=", [("a", "b=c,d"), ("e", "")]),
        ("x,flag,noflag,nodelay", [("k", "x"), ("flag", "on"), ("flag", "off"), ("nodelay", "on")]),
        ("x,help,?", [("k", "x"), ("help", None), ("?", None)]),
        ("=1", [("", "1")]),
    ],
)
def test_flat_grammar(text: str, pairs: list[tuple[str, str | None]]) -> None:
    assert list(parse_opts(text, "k", ("nodelay",))) == pairs


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("x", {"k": "x"}),
        ("x,a=1,a=2", {"k": "x", "a": "2"}),
        ("a.b=1,a.c.d=2", {"a": {"b": "1", "c": {"d": "2"}}}),
        ("a.1=y,a.0=x", {"a": ["x", "y"]}),
        ("a.0.b=1", {"a": [{"b": "1"}]}),
        ("a=b,,c,d=", {"a": "b,c", "d": ""}),
        ("__org.vendor_x.y=1", {"__org.vendor_x": {"y": "1"}}),
    ],
)
def test_tree_grammar(text: str, tree: dict[str, Any]) -> None:
    assert parse_keyval(text, "k") == (tree, False)


def test_tree_grammar_merges_and_keeps_what_it_merged_into() -> None:
    tree: dict[str, Any] = {}
    parse_keyval("a=1,b.c=2", None, tree)
    parse_keyval("a=3,b.d=4", None, tree)
    assert tree == {"a": "3", "b": {"c": "2", "d": "4"}}


def test_tree_grammar_sees_help_among_other_things() -> None:
    assert parse_keyval("x,help,a=1", "k") == ({"k": "x", "a": "1"}, True)
    assert parse_keyval("?", "k") == ({}, True)


@given(st.text("ab.0=,_-x", max_size=20))
def test_tree_grammar_gives_strings_dicts_and_lists_or_refuses(text: str) -> None:
    def check(node: Any) -> None:
        if isinstance(node, dict):
            for below in node.values():
                check(below)
        elif isinstance(node, list):
            assert node
            for below in node:
                check(below)
        else:
            assert isinstance(node, str)

    try:
        tree, _ = parse_keyval(text, "k")
    except OptionError as error:
        assert str(error)
    else:
        check(tree)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.text("xyz,=."))))
def test_doubled_commas_bring_every_value_through_both_grammars(pairs: list[tuple[str, str]]) -> None:
    text = ",".join(f"{key}={value.replace(',', ',,')}" for key, value in pairs)
    assert list(parse_opts(text)) == pairs
    assert parse_keyval(text) == (dict(pairs), False)
