"""What cannot be meant is an error that says what can: names of models, and what a node is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from mergecore import InvalidInput, Policy, RecordDeleted, lww
from mergecore.sync import Node, Refused, Report, SuperNode

pytestmark = pytest.mark.sync


class Todo(msgspec.Struct):
    """One model."""

    title: str = ""


class Note(msgspec.Struct):
    """Another one."""

    text: str = ""


MODELS: dict[str, Any] = {"todo": Todo}


@pytest.mark.parametrize(
    "use",
    [
        lambda node: node.all("todos"),
        lambda node: node.all(Todo),
        lambda node: node.insert({"title": "x"}, "todos"),
        lambda node: node.insert_all([{"title": "x"}], "todos"),
        lambda node: Node("other", ":memory:", models=MODELS, policies={"Todo": Policy(default=lww)}),
        lambda node: node.add_node("phone", read=["todo", "todos"]),
        lambda node: node.add_node("phone", write=["todos"]),
    ],
    ids=["all", "all of a class", "insert", "insert_all", "policies", "read", "write"],
)
def test_a_name_of_no_model_is_an_error_that_names_the_nearest_one(use: Callable[[SuperNode], object]) -> None:
    """Wherever the name of a model is given; and nothing is stored by it."""
    with SuperNode("server", ":memory:", models=MODELS) as node:
        with pytest.raises(InvalidInput, match="did you mean 'todo'"):
            use(node)
        with pytest.raises(InvalidInput, match="there are todo"):
            node.all("zebra")
        assert node.status()["records"] == {} and node.nodes() == []


def test_records_of_a_model_that_only_others_have_are_there() -> None:
    """They came in, and can be read; new ones are not written under that name."""
    both = {**MODELS, "note": Note}
    with Node("phone", ":memory:", models=both) as phone, Node("old", ":memory:", models=MODELS) as old:
        guid = phone.insert(Note("x"))
        old.sync(phone)
        assert old.all("note") == {guid: {"text": "x"}}
        with pytest.raises(InvalidInput, match="there are todo"):
            old.insert({"text": "y"}, "note")


def test_without_models_any_name_is_one() -> None:
    """Of which there are no records yet."""
    with Node("phone", ":memory:", policies={"whatever": Policy()}) as node:
        assert node.all("todo") == {}
        bad: Any
        for bad in (Todo, None, 7):
            with pytest.raises(InvalidInput, match="no model's name"):
                node.all(bad)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"models": [Todo]}, r'such as \{"todo": Todo\}'),
        ({"models": Todo}, r'such as \{"todo": Todo\}'),
        ({"policies": Policy()}, r'such as \{"todo": Policy\(\.\.\.\)\}'),
        ({"policies": {"todo": lww}}, r"give a Policy, such as Policy\(default=lww\)"),
    ],
)
def test_what_a_node_is_made_of_goes_by_names(how: Any, said: str) -> None:
    """A list, a class or a policy alone is an error that shows what to give."""
    with pytest.raises(InvalidInput, match=said):
        Node("phone", ":memory:", **how)


def test_what_a_call_does_not_take_is_an_error_that_says_what_it_takes() -> None:
    """A number in place of a time, nothing in place of a peer."""
    bad: Any
    with Node("phone", ":memory:", models=MODELS) as node:
        for bad in (0, 30, "30d", None):
            with pytest.raises(InvalidInput, match=r"timedelta\(days=30\)"):
                node.purge(bad)
        for bad in (None, 7, object(), print):
            with pytest.raises(InvalidInput, match="a Node, or a Link"):
                node.sync(bad)


def test_who_writes_in_a_deleted_record_is_told_how_to_take_that_back() -> None:
    """By the call of a node, which asks for no clock."""
    with Node("phone", ":memory:", models=MODELS) as node:
        guid = node.insert(Todo("x"))
        node.delete(guid)
        with pytest.raises(RecordDeleted, match=rf"{guid} is deleted: restore\('{guid}'\)"):
            node.edit(guid, title="y")
        with pytest.raises(RecordDeleted, match="restore"):
            node.fork(guid, "title")
        node.restore(guid)
        node.edit(guid, title="y")


def test_a_report_reads_as_the_command_line_prints_it() -> None:
    """A line for what travelled, and one for each thing that is to be known besides."""
    told = "server: sent 1, received 3 (2 merged, 1 in conflict), wiped 4"
    assert str(Report("server", 1, 3, 2, 1, purged=4)) == told
    assert Report("server", rewritten=["a"]).clean and not Report("server", waiting=["a"]).clean
    refused = Report("server", refused=[Refused("a", "todo", "drift", "a year ahead", "server")], waiting=["b", "c"])
    assert not refused.clean and str(refused).splitlines() == [
        "server: sent 0, received 0",
        "of the future, to be sent when their time has come: 2",
        "refused by server: todo a: drift, a year ahead",
    ]
