"""Lists of objects by key, and texts by their pieces, as ``merge`` merges them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest

from mergecore import (
    UNSET,
    AnswerError,
    Merged,
    Policy,
    PolicyError,
    StrategyError,
    counter,
    edit_wins,
    keep_both,
    keyed,
    lww,
    merge,
    prefer,
    text,
    three_way,
)
from mergecore.paths import ORDER, Slice, format_path, parse_path

BY_ID = Policy(default=keyed("id"))


def members(keys: str, **changed: str) -> list[dict[str, str]]:
    """A list of objects with these keys; some of them with another text."""
    return [{"id": key, "text": changed.get(key, "")} for key in keys]


def by_id(base: Any, ours: Any, theirs: Any, **given: Any) -> Merged[Any]:
    """The merge of keyed lists, which is the same from the other side."""
    policy = given.pop("policy", BY_ID)
    merged = merge(base, ours, theirs, policy=policy, **given)
    at = given["at"][::-1] if "at" in given else None
    back = merge(base, theirs, ours, policy=policy, names=("theirs", "ours"), at=at)
    assert back.value == merged.value and back.conflicts == merged.conflicts
    return merged


def shown(merged: Merged[Any]) -> str:
    return "".join(f"{x['id']}{x['text']}" for x in merged.value)


# ------------------------------------------------------------------------------------------ members


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "value"),
    [
        ("abc", "bca", "ab", "ba"),  # a deletion does not mind a move
        ("abc", "cab", "ab", "ab"),  # and beats it
        ("abc", "ac", "ab", "a"),
        ("ab", "axb", "ayb", "axyb"),
        ("ab", "axb", "axb", "axb"),
        ("", "ab", "bc", "abc"),
        ("ab", "", "", ""),
        ("abcd", "bacd", "abdc", "badc"),
        ("abc", "cab", "bca", "cba"),
        ("ab", "xab", "abx", None),
        ("abc", "bac", "acb", None),
    ],
)
def test_members_and_their_order_are_merged_apart(base: str, ours: str, theirs: str, value: str | None) -> None:
    """Moves of both sides are both there, unless they contradict each other."""
    merged = by_id(members(base), members(ours), members(theirs))
    if value is None:
        (conflict,) = merged.conflicts
        assert conflict.path == (ORDER,)
        assert {"".join(c.value) for c in conflict.candidates} == {ours, theirs}
        assert shown(merged) in (ours, theirs)
    else:
        assert (shown(merged), merged.conflicts) == (value, ())


def test_a_member_that_both_edited_is_merged_by_field_wherever_it_stands() -> None:
    """And what both inserted under one key is one member."""
    base = [{"id": 1, "a": 0, "b": 0}, {"id": 2, "a": 0, "b": 0}]
    ours = [base[1], {"id": 1, "a": 1, "b": 0}, {"id": 3, "a": 1}]
    theirs = [{"id": 1, "a": 0, "b": 1}, base[1], {"id": 3, "b": 1}]
    merged = by_id(base, ours, theirs)
    assert merged.unwrap() == [base[1], {"id": 1, "a": 1, "b": 1}, {"id": 3, "a": 1, "b": 1}]


def test_one_field_of_a_member_is_one_question() -> None:
    """Its path has the key, in text too."""
    merged = by_id(members("ab"), members("ab", b="1"), members("ba", b="2"))
    assert [c.path for c in merged.conflicts] == [("b", "text")]
    assert merged.resolve({"b.text": "3"}).unwrap() == members("ba", b="3")
    numbered = by_id([{"id": 7, "n": 1}], [{"id": 7, "n": 2}], [{"id": 7, "n": 3}])
    assert numbered.resolve({"[7].n": 4}).unwrap() == [{"id": 7, "n": 4}]


@pytest.mark.parametrize(("deletes", "value", "open_"), [(keep_both, "ab1", 1), (edit_wins, "ab1", 0), (lww, "a", 0)])
def test_an_edit_against_a_deletion_of_a_member_is_asked_of_deletes(deletes: Any, value: str, open_: int) -> None:
    """Not of the list's strategy; a move is no edit."""
    policy = Policy(default=keyed("id") | prefer("ours"), deletes=deletes)
    merged = by_id(members("ab"), members("ba", b="1"), members("a"), policy=policy, at=(1, 2))
    assert shown(merged) in (value, "b1a")
    assert [c.path for c in merged.conflicts] == [("b",)] * open_
    assert shown(by_id(members("ab"), members("ba"), members("a"), policy=policy, at=(2, 1))) == "a"


def test_keys_of_several_fields() -> None:
    """A step is then a tuple; its text names it in an answer."""
    base = [{"sku": "x", "lot": 1, "n": 0}, {"sku": "x", "lot": 2, "n": 0}]
    ours, theirs = [base[1], {**base[0], "n": 1}], [{**base[0], "n": 2}, {**base[1], "n": 5}]
    merged = by_id(base, ours, theirs, policy=Policy(default=keyed("sku", "lot")))
    assert [c.path for c in merged.conflicts] == [(("x", 1), "n")]
    assert format_path(merged.conflicts[0].path) == '["x",1].n'
    assert merged.resolve({'["x",1].n': 9}).unwrap() == [{**base[1], "n": 5}, {**base[0], "n": 9}]


def test_lists_below_are_keyed_by_the_same_strategy_or_by_their_own() -> None:
    """The whole strategy goes on below."""
    base = [{"id": "a", "subs": members("xy"), "tags": ["t"]}]
    ours = [{"id": "a", "subs": members("yx"), "tags": ["t", "o"]}]
    theirs = [{"id": "a", "subs": members("xyz", x="1"), "tags": ["t", "u"]}]
    merged = by_id(base, ours, theirs)
    assert merged.unwrap() == [{"id": "a", "subs": members("yzx", x="1"), "tags": ["t", "o", "u"]}]
    assert [(v.path, v.decided_by) for v in merged.explain()] == [(("a", "tags"), "keyed")]


# ------------------------------------------------------------------------------------------ order


def test_an_order_is_settled_by_what_follows() -> None:
    """And the other one is named as lost."""
    sides = members("abc"), members("bac"), members("acb", a="1")
    merged = by_id(*sides, policy=Policy(default=keyed("id") | lww), at=(1, 2))
    assert merged.unwrap() == members("acb", a="1")
    assert [(v.path, v.decided_by, v.lost[0].value) for v in merged.explain()] == [((ORDER,), "lww", ["b", "a", "c"])]


def test_an_order_is_answered_by_a_list_of_keys() -> None:
    """A candidate, or any other of the keys that are contested; all else is refused."""
    merged = by_id(members("zabcd"), members("zbacd"), members("dzacb"))
    assert {tuple(c.value) for c in merged.conflicts[0].candidates} == {("b", "a", "c"), ("a", "c", "b")}
    assert format_path(merged.conflicts[0].path) == "[<order>]" and parse_path("[<order>]") == (ORDER,)
    assert shown(merged.resolve({(ORDER,): merged.conflicts[0].candidates[1]})) == "dzacb"
    assert shown(merged.resolve({"[<order>]": ["c", "b", "a"]})) == "dzcba"
    for wrong in (["a", "b"], ["a", "b", "c", "c"], ["a", "b", "?"], ["a", "b", "c", "d"], [{}, "b", "c"], [], "abc"):
        with pytest.raises(AnswerError, match=r"\[<order>\]: "):
            merged.resolve({"[<order>]": wrong})
    with pytest.raises(AnswerError, match=r"is no order of what is contested: give each of \['a', 'b', 'c'\] once"):
        merged.resolve({"[<order>]": ["a", "b"]})
    policy = Policy(default=keyed("id") | (lambda base, ours, theirs: ["?"]))
    with pytest.raises(StrategyError, match="is no order"):
        merge(members("abc"), members("bac"), members("acb"), policy=policy)


def test_what_is_contested_in_two_places_is_one_question() -> None:
    """Its candidates have both places in the order in which they stand; an answer may have any."""
    merged = by_id(members("abcwdef"), members("bacwedf"), members("acbwdfe"))
    assert [set(map(tuple, (c.value for c in m.candidates))) for m in merged.conflicts] == [
        {("b", "a", "c", "e", "d", "f"), ("a", "c", "b", "d", "f", "e")}
    ]
    assert shown(merged) in ("bacwedf", "acbwdfe")
    assert shown(merged.resolve({"[<order>]": ["f", "e", "d", "c", "b", "a"]})) == "fedwcba"
    apart = by_id(members("012345"), members("213n045"), members("0132n45"))
    assert {tuple(c.value) for c in apart.conflicts[0].candidates} == {
        ("2", "1", "3", "n", "0"),
        ("1", "3", "2", "0", "n"),
    }


def test_an_order_of_keys_of_several_fields_can_come_from_json() -> None:
    """Where a tuple is a list."""
    base = [{"sku": sku, "lot": 1} for sku in "abc"]
    ours, theirs = [base[1], base[0], base[2]], [base[0], base[2], base[1]]
    merged = by_id(base, ours, theirs, policy=Policy(default=keyed("sku", "lot")))
    answered = merged.resolve({"[<order>]": [["c", 1], ["a", 1], ["b", 1]]})
    assert answered.unwrap() == [base[2], base[0], base[1]]


def test_an_order_that_is_neither_sides_has_a_verdict() -> None:
    """Both reordered, without a contradiction."""
    merged = by_id(members("abcd"), members("bacd"), members("abdc"))
    assert shown(merged) == "badc"
    assert [(v.path, v.decided_by, v.value) for v in merged.explain()] == [((ORDER,), "keyed", ["b", "a", "d", "c"])]


@pytest.mark.parametrize(("answer", "says"), [({"id": "x"}, "the answer's key is 'x'"), ("junk", "is no object")])
def test_an_answer_about_a_member_is_a_member_with_its_key(answer: Any, says: str) -> None:
    """Else the list would have a key twice, or none."""
    merged = by_id(members("ab"), members("ab", b="1"), members("a"))
    with pytest.raises(AnswerError, match=f"{says}.*give an object whose key is 'b'"):
        merged.resolve({"b": answer})
    assert shown(merged.resolve({"b": {"id": "b", "text": "!"}})) == "ab!"
    assert shown(merged.resolve({"b": UNSET})) == "a"


# ------------------------------------------------------------------------------------------ no keys


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        ([{"text": "x"}], "the key 'id' is missing in element 1"),
        ([{"id": None, "text": "x"}], "the key 'id' is missing in element 1"),
        ([{"id": "a", "text": "x"}], "the key 'a' is there twice"),
        ([{"id": [1], "text": "x"}], "element 1 has a list as 'id', which is no key"),
        ([{"id": True, "text": "x"}], "element 1 has a bool as 'id', which is no key"),
        ([{"id": float("nan"), "text": "x"}], "element 1 has a float as 'id', which is no key"),
        ([{"id": bytearray(b"a"), "text": "x"}], "element 1 has a bytearray as 'id', which is no key"),
        ([{"id": Decimal("sNaN"), "text": "x"}], "element 1 has a Decimal as 'id', which is no key"),
        ([{"id": frozenset("ab"), "text": "x"}], "element 1 has a frozenset as 'id', which is no key"),
        (["x"], "element 1 is no object with a key"),
    ],
)
@pytest.mark.parametrize("side", [0, 1, 2])
def test_without_keys_a_list_is_merged_by_element_and_a_verdict_says_so(odd: Any, says: str, side: int) -> None:
    """On whichever side the key is missing or doubled."""
    sides: list[list[Any]] = [members("a"), members("ab"), members("ca")]
    sides[side] = sides[side][:1] + odd + sides[side][1:]
    merged = by_id(*sides)
    base, ours, theirs = sides
    assert merged.value == merge(base, ours, theirs, policy=Policy(default=three_way())).value
    (verdict,) = [v for v in merged.explain() if v.decided_by == "keyed"]
    where = ("the base", "ours", "theirs")[side]
    assert verdict.path == () and f"by element: in {where}, {says}" in verdict.reason


class Line(msgspec.Struct, rename={"sku_": "sku"}):
    """A member with a key, and a field with a strategy of its own."""

    sku_: str
    qty: Annotated[int, counter] = 0


class Order(msgspec.Struct):
    """A record with a keyed list."""

    lines: Annotated[list[Line], keyed("sku") | lww] = []


class Wrong(msgspec.Struct):
    """A list that is keyed by what its objects do not have."""

    lines: Annotated[list[Line], keyed("skv")] = []


def test_models_are_keyed_by_the_encoded_names_of_their_fields() -> None:
    """Both increments count; a field that the objects do not have is an error that names the nearest."""
    base, ours, theirs = (
        Order([Line(k, n) for k, n in pairs])
        for pairs in ([("a", 1), ("b", 1)], [("b", 2), ("a", 1)], [("a", 1), ("b", 3)])
    )
    assert merge(base, ours, theirs).unwrap() == Order([Line("b", 4), Line("a", 1)])
    with pytest.raises(PolicyError, match=r"lines: is keyed.'skv'., and Line has no field 'skv'; did you mean 'sku'"):
        merge(Wrong(), Wrong([Line("a")]), Wrong([Line("b")]))


@pytest.mark.parametrize("path", ["k[0:2]", "k[<order>]"])
def test_a_piece_has_no_strategy_of_its_own(path: str) -> None:
    """A hunk of a text, the order of a list."""
    with pytest.raises(PolicyError, match="has the strategy of what it is a part of"):
        Policy(fields={path: lww})


@pytest.mark.parametrize("given", [(), ("",), (1,), ("id", "id")])
def test_keyed_takes_names(given: Any) -> None:
    """At least one, no two of them the same."""
    with pytest.raises(PolicyError, match="takes the names of the fields"):
        keyed(*given)


# ------------------------------------------------------------------------------------------ text


def by(how: Any, base: Any, ours: Any, theirs: Any, **given: Any) -> Merged[Any]:
    """The merge of texts, which is the same from the other side."""
    return by_id(base, ours, theirs, policy=Policy(default=how), **given)


def test_changes_of_different_lines_are_both_there() -> None:
    """With a line between them; without one they touch, as in git."""
    assert by(text(), "1\n2\n3\n", "a\n2\n3\n", "1\n2\nc\n").unwrap() == "a\n2\nc\n"
    assert by(text(), "1\n2\n3\n", "a\n2\n3\n", "1\nb\n3\n").conflicts[0].reason == "the lines overlap"


def test_a_hunk_in_conflict_is_a_slice_of_the_base() -> None:
    """What is around it is merged; one side of it is shown, and an answer is its text."""
    base, ours, theirs = "1\n2\n3\n4\n5\n", "1\n2a\n3\n4\n5\n", "1\n2b\n3\n4\n5!\n"
    merged = by(text(), base, ours, theirs)
    (conflict,) = merged.conflicts
    assert (conflict.path, conflict.base) == ((Slice(1, 2),), "2\n")
    assert {c.value for c in conflict.candidates} == {"2a\n", "2b\n"}
    assert merged.value in ("1\n2a\n3\n4\n5!\n", "1\n2b\n3\n4\n5!\n")
    assert merged.resolve({"[1:2]": "2ab\n"}).unwrap() == "1\n2ab\n3\n4\n5!\n"
    assert merged.resolve({"": "all"}).unwrap() == "all"
    assert merged.resolve({"[1:2]": UNSET}).unwrap() == "1\n3\n4\n5!\n"


def test_a_hunk_is_not_split_again_by_what_split_the_text() -> None:
    """By itself, a moved line would be taken for the one that theirs deleted, and git's conflict would vanish."""
    base, ours, theirs = "\nx\n}\n}\n}\n", "}\n\n}\nx\n}\n}\n", "\n}\n}\n}\n"
    assert [c.path for c in by(text(), base, ours, theirs).conflicts] == [(Slice(1, 3),)]


def test_words_settle_what_lines_could_not_and_time_what_words_could_not() -> None:
    """Each part is asked about what the one before it left."""
    base = "Milk, 2 l\nBread\nTea\nJam\n"
    ours = "Oat milk, 2 l\nBread\nTea\nJam now\n"
    theirs = "Milk, 3 l\nBread\nTea\nJam later\n"
    words = by(text() | text("word"), base, ours, theirs)
    assert words.value.startswith("Oat milk, 3 l\n")
    assert [c.path for c in words.conflicts] == [(Slice(3, 4), Slice(1, 1))]
    settled = by(text() | text("word") | lww, base, ours, theirs, at=(2, 1))
    assert settled.unwrap() == "Oat milk, 3 l\nBread\nTea\nJam now\n"
    said = [(v.decided_by, v.reason) for v in settled.explain()]
    assert said == [
        ("text", "by word"),
        ("lww", "the lines overlap; the words overlap"),
        ("text", "by word"),
        ("text", "by line"),
    ]


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "value"),
    [
        ("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n", "A\r\nb\r\nC\r\n"),
        ("a\nb\nc", "A\nb\nc", "a\nb\nc\n", "A\nb\nc\n"),
        ("\ufeffa\nb\nc\n", "\ufeffa\nb\nc\nd\n", "a\nb\nc\n", "a\nb\nc\nd\n"),
        ("a\rb\nc\nd\n", "a\rb\nc\nD\n", "a\rB\nc\nd\n", "a\rB\nc\nD\n"),
        ("a\n", "", "a\nb\n", None),
        ("", "a\n", "a\n", "a\n"),
        ("", "a\n", "b\n", None),
        ("a\n", "", "", ""),
    ],
)
def test_line_ends_marks_and_empty_texts(base: str, ours: str, theirs: str, value: str | None) -> None:
    """``None``: one question about the whole."""
    merged = by(text(), base, ours, theirs)
    if value is None:
        assert [(c.path, c.base) for c in merged.conflicts] == [((), base)]
    else:
        assert merged.unwrap() == value


def test_a_character_is_never_split() -> None:
    """Ours puts an accent on a letter, theirs deletes the letter: they overlap, and no accent is left alone."""
    merged = by(text("char"), "caffee", "caffe\u0301e", "caffe")
    assert [c.reason for c in merged.conflicts] == ["the chars overlap"]
    family = "\U0001f469\u200d\U0001f467"
    assert by(text("char"), "a b c", f"a {family} c", "a b c!").unwrap() == f"a {family} c!"


def test_a_key_is_not_asked_of_the_strategy() -> None:
    """Both inserted it, and counts are summed: but not keys."""
    base = [{"id": 2, "n": 0}]
    ours, theirs = [*base, {"id": 1, "n": 5}], [*base, {"id": 1, "n": 7}]
    merged = by_id(base, ours, theirs, policy=Policy(default=keyed("id") | counter | lww))
    assert merged.unwrap() == [*base, {"id": 1, "n": 12}]


def test_a_base_that_is_a_tuple_is_a_base_of_lists() -> None:
    """What one side deleted does not come back."""
    for how in (three_way(), keyed("id")):
        base, ours, theirs = members("abc"), members("ab"), members("abcd")
        assert merge(tuple(base), ours, theirs, policy=Policy(default=how)).value == members("abd")


def test_without_a_base_and_of_what_is_no_text_it_passes() -> None:
    """Whether the whole record has none, or the field."""
    assert by(text(), UNSET, "a\n", "b\n").conflicts[0].reason == "text needs a base"
    field = merge({}, {"k": "a\n"}, {"k": "b\n"}, policy=Policy(fields={"k": text()}))
    assert field.conflicts[0].reason == "text needs a base"
    assert by(text() | lww, 1, 2, 3, at=(1, 2)).unwrap() == 3


def test_a_merged_text_must_be_one_that_the_field_takes() -> None:
    """Two insertions that are too long together are an open question."""

    class Note(msgspec.Struct):
        body: Annotated[str, text(), msgspec.Meta(max_length=8)] = ""

    merged = merge(Note("a\nb\nc\n"), Note("a1\nb\nc\n"), Note("a\nb\nc12\n"))
    assert [(c.path, c.reason) for c in merged.conflicts] == [(("body",), "invariant")]


def test_a_unit_of_text_is_one_of_three() -> None:
    """And a forgotten call is told."""
    with pytest.raises(PolicyError, match='the unit is "line", "word" or "char"'):
        text("lines")  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match=r"write text\(\.\.\.\)"):
        Policy(fields={"notes": text})  # type: ignore[dict-item]


# ------------------------------------------------------------------------------------------ past the budget


def test_past_the_budget_a_stretch_that_both_changed_is_open_whatever_the_strategy() -> None:
    """Two lists of 60,000 numbers out of three, each drawn by its own rule: nothing says what corresponds to what."""
    base, ours, theirs = ([n * n // step % 3 for n in range(60_000)] for step in (7, 11, 13))
    merged = by(three_way() | lww, [9, *base, 9], [9, *ours, 9], [8, *theirs, 9], at=(1, 2))
    (conflict,) = merged.conflicts
    assert isinstance(conflict.path[0], Slice) and "too much changed" in conflict.reason
    assert merged.value == [8, *theirs, 9]
    start, stop = conflict.path[0].start, conflict.path[0].stop
    assert merged.resolve({f"[{start}:{stop}]": [1, 2]}).unwrap()[-2:] == [2, 9]
    assert merged.resolve({f"[{start}:{stop}]": UNSET}).unwrap()[-1:] == [9]
    assert by(three_way(), base, ours, base).unwrap() == ours
    for wrong in (5, None, "ab", {"x": 1}):
        with pytest.raises(AnswerError, match="is no list of elements"):
            merged.resolve({f"[{start}:{stop}]": wrong})
    words = [" ".join("abc"[n] for n in side) for side in (base, ours, theirs)]
    of_words = by(text("word") | lww, *(f"p {w} {n}" for n, w in enumerate(words)), at=(1, 2))
    assert [c.reason for c in of_words.conflicts] == ["too much changed to find out what corresponds to what"]
