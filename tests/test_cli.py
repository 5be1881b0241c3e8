"""The command line: what it writes, what it reports, and how it fails."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mergecore.cli import main
from mergecore.jsontext import read, write

Text = str | bytes


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        return json.loads(self.err)


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """``run(base, ours, theirs, *options)``: merges three texts, as files in the current directory."""
    monkeypatch.chdir(tmp_path)

    def merge(base: Text, ours: Text, theirs: Text, *options: str) -> Outcome:
        for name, text in (("base.json", base), ("ours.json", ours), ("theirs.json", theirs)):
            (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        code = main(["merge", "base.json", "ours.json", "theirs.json", *options])
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode(), err.decode())

    return merge


def command(*argv: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """The console script, as a user runs it."""
    script = shutil.which("mergecore", path=os.path.dirname(sys.executable))
    assert script is not None
    return subprocess.run([script, *argv], capture_output=True, timeout=60, **options)


def files(folder: Path, *texts: str) -> list[str]:
    """Base, ours and theirs as files."""
    names = [str(folder / name) for name in ("base.json", "ours.json", "theirs.json")]
    for name, text in zip(names, texts):
        Path(name).write_bytes(text.encode())
    return names


# ------------------------------------------------------------------------------------------ the document


def test_a_clean_merge_exits_0_and_prints_the_document_alone(run: Run) -> None:
    """Both sides' changes are in it, and nothing is said."""
    assert run('{"a": 1, "b": 1}', '{"a": 2, "b": 1}', '{"a": 1, "b": 2}') == (0, '{"a": 2, "b": 2}', "")


def test_a_conflict_exits_1_and_one_candidate_is_written(run: Run, tmp_path: Path) -> None:
    """With ``-o`` as on standard output."""
    code, out, err = run('{"a": 1}', '{"a": 2}', '{"a": 3}')
    assert (code, out) == (1, '{"a": 3}')
    assert "a     1     2     3       no times" in err.splitlines()
    assert run('{"a": 1}', '{"a": 2}', '{"a": 3}', "-o", "out.json")[:2] == (1, "")
    assert (tmp_path / "out.json").read_text() == '{"a": 3}'


@pytest.mark.parametrize(
    ("ours", "theirs", "value"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:00:01Z", 3),
        ("2024-01-01T02:00:00+01:00", "2024-01-01T00:30:00+00:00", 2),
        ("1700000000001", "1700000000000", 2),
        ("0", "2024-01-01 00:00Z", 3),
        ("2024-01-01T00:00:00.000001Z", "2024-01-01T00:00:00Z", 2),
    ],
)
def test_the_later_side_wins(run: Run, ours: str, theirs: str, value: int) -> None:
    """Times are ISO 8601 with a zone or epoch milliseconds, and both may be mixed."""
    found = run('{"a": 1}', '{"a": 2}', '{"a": 3}', "--at-ours", ours, "--at-theirs", theirs)
    assert found == (0, f'{{"a": {value}}}', "")


@pytest.mark.parametrize(
    "text",
    [
        '{"b":1,"a":{"d":[1,2],"c":null}}\n',
        '{"b": 1, "a": {"d": [1, 2], "c": null}}',
        '{\n  "b": 1,\n  "a": [\n    1,\n    {}\n  ]\n}\n',
        '{\n\t"b" : 1,\n\t"a" : true\n}',
        '{\r\n    "b": 1,\r\n    "a": "x"\r\n}\r\n',
        '\ufeff{"b": 1}',
        "[1.10, 1e3, -0, -0.0, 12345678901234567890, 1e400, 0.1000000000000000055]",
        '{"é": "日本 😀", "x": "\\n"}',
        '{"\\u00e9": "\\ud83d\\ude00"}',
        '["\\ud800", "\\udfff!"]',
        '"text"\n',
        "-0",
    ],
)
def test_ours_own_text_comes_back(run: Run, text: str) -> None:
    """Key order, indentation, line ends, the final newline, the byte order mark, numbers, letters beyond ASCII."""
    for base, theirs in ((text, text), ("null", "null"), ("null", text)):
        assert run(base, text, theirs) == (0, text, "")


def test_the_style_is_that_of_ours(run: Run) -> None:
    """Whatever base and theirs look like."""
    ours = '{\n  "b": 1.50,\n  "a": 1\n}\n'
    assert run('{"b":1.50,"a":1}', ours, '{"b":1.50,"a":1,"c":[]}').out == '{\n  "b": 1.50,\n  "a": 1,\n  "c": []\n}\n'


def test_numbers_merge_with_their_text(run: Run) -> None:
    """Each side's changed number is written as that side wrote it, the others as they were."""
    base = '{"a": 1.10, "b": 2.20, "c": [1e3, 1e400], "n": 12345678901234567890}'
    ours = '{"a": 1.20, "b": 2.20, "c": [1e3, 1e400], "n": 12345678901234567890}'
    theirs = '{"a": 1.10, "b": 2.30, "c": [1e3, 1e401], "n": 12345678901234567890}'
    merged = '{"a": 1.20, "b": 2.30, "c": [1e3, 1e401], "n": 12345678901234567890}'
    assert run(base, ours, theirs) == (0, merged, "")


def test_a_number_in_other_letters_is_no_conflict(run: Run) -> None:
    """``1.0`` says what ``1`` says; ``1e400`` and ``1e401``, both infinite as floats, differ."""
    assert run('{"a": 1}', '{"a": 1.0}', '{"a": 2.50}') == (0, '{"a": 2.50}', "")
    assert run('{"a": 1}', '{"a": 1e400}', '{"a": 1e401}').code == 1


# ------------------------------------------------------------------------------------------ the file


def test_a_file_is_replaced_with_its_mode_and_nothing_else_is_left(run: Run, tmp_path: Path) -> None:
    """No temporary file stays, and who may read the file stays."""
    out = tmp_path / "out.json"
    out.write_text("old")
    out.chmod(0o640)
    assert run("1", "2", "1", "-o", "out.json") == (0, "", "")
    assert out.read_text() == "2"
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.json", "ours.json", "out.json", "theirs.json"]


def test_a_new_file_has_the_mode_of_any_new_file(run: Run, tmp_path: Path) -> None:
    """The temporary file's caution does not stay with it."""
    (tmp_path / "other").touch()
    run("1", "2", "1", "-o", "out.json")
    assert (tmp_path / "out.json").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_the_output_may_be_an_input(run: Run, tmp_path: Path) -> None:
    """As a merge driver wants it."""
    assert run("[1]", "[1, 2]", "[0, 1]", "-o", "ours.json") == (0, "", "")
    assert (tmp_path / "ours.json").read_text() == "[0, 1, 2]"


def test_a_link_is_written_through(run: Run, tmp_path: Path) -> None:
    """It stays a link, to a file with the new text."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "out.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real/out.json")
    run("1", "2", "1", "-o", "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real" / "out.json").read_text() == "2"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs devices")
def test_a_device_is_not_replaced(run: Run) -> None:
    """``-o /dev/null`` asks for the exit code alone."""
    assert run("1", "2", "1", "-o", os.devnull) == (0, "", "")
    assert not os.path.isfile(os.devnull)


# ------------------------------------------------------------------------------------------ errors


MODELS = """
import msgspec
class Item(msgspec.Struct):
    sku: str
    qty: int = 0
class Order(msgspec.Struct):
    id: int
    items: list[Item] = []
number = 1
"""


@pytest.fixture
def models(tmp_path: Path) -> None:
    (tmp_path / "cli_models.py").write_text(MODELS)
    (tmp_path / "cli_broken.py").write_text("raise SystemExit('two\\nlines')")


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("ours", "options", "says"),
    [
        ('{"a": 1, "b": {"x": 1, "x": 2}}', [], 'ours.json: has the key "x" twice'),
        ('{"a":\n oops}', [], "ours.json: is not JSON (line 2, column 2: Expecting value)"),
        ("", [], "ours.json: is not JSON (line 1, column 1: Expecting value)"),
        ('{"a": NaN}', [], "ours.json: holds NaN"),
        ("[-Infinity]", [], "ours.json: holds -Infinity"),
        ("[" * 201 + "]" * 201, [], "ours.json: nests deeper than 200 levels"),
        ("[" * 100_000, [], "ours.json: nests deeper than 200 levels"),
        (b'"\xff"', [], "ours.json: is not UTF-8 (byte 0xff at offset 1)"),
        (b"\xff\xfe1\x00", [], "ours.json: is not UTF-8"),
        ("1" * 5000, [], "ours.json: has an integer of 5000 digits"),
        ("1e" + "9" * 30, [], "ours.json: has a number out of any range"),
        ("2", ["--at-ours", "5"], "--at-ours: means nothing without --at-theirs"),
        ("2", ["--at-theirs", "5"], "--at-theirs: means nothing without --at-ours"),
        ("2", ["--at-ours", "noon", "--at-theirs", "5"], "--at-ours: 'noon' is no date, time and zone"),
        (
            "2",
            ["--at-ours", "5", "--at-theirs", "2024-01-01T00:00:00"],
            "--at-theirs: '2024-01-01T00:00:00' is no date, time and zone",
        ),
        ("2", ["--at-ours", "5", "--at-theirs", "9" * 5000], "--at-theirs: '999"),
        (
            "2",
            ["--at-ours", "5", "--at-theirs", "1960-01-01T00:00Z"],
            "--at-theirs: '1960-01-01T00:00Z' is no date, time and zone",
        ),
        ("2", ["--at-ours", "", "--at-theirs", "5"], "--at-ours: '' is no date, time and zone"),
        ("2", ["--model", "no_such_module:X"], "--model no_such_module:X: cannot be imported (ModuleNotFoundError"),
        ("2", ["--model", "cli_models:Nope"], "--model cli_models:Nope: cannot be imported (AttributeError"),
        ("2", ["--model", "cli_models"], "--model cli_models: cannot be imported"),
        ("2", ["--model", ""], "--model : cannot be imported"),
        ("2", ["--model", "cli_broken:X"], "--model cli_broken:X: cannot be imported (SystemExit: two\\nlines)"),
        ("2", ["--model", "cli_models:number"], "--model cli_models:number: has no declared fields"),
        (
            '{"id": "x"}',
            ["--model", "cli_models:Order"],
            "ours.json: is no Order (Expected `int`, got `str` - at `$.id`)",
        ),
        ("[]", ["--model", "cli_models:Order"], "ours.json: is no Order (Expected `object`, got `array`)"),
        (
            '{"id": 1, "items": [{"sku": "a"}, {"sku": "b", "color\\n": 1}]}',
            ["--model", "cli_models:Order"],
            "ours.json: items[1].color\\n is not in Order and would get lost",
        ),
    ],
)
def test_an_error_is_one_line_exits_2_and_leaves_the_file_alone(
    run: Run, tmp_path: Path, ours: Text, options: list[str], says: str
) -> None:
    """It says where, what is wrong and what to do; nothing is written."""
    (tmp_path / "out.json").write_text("old")
    before = set(tmp_path.iterdir()) | {tmp_path / f"{side}.json" for side in ("base", "ours", "theirs")}
    code, out, err = run('{"id": 1}', ours, '{"id": 1}', "-o", "out.json", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"mergecore: {says}")
    assert "; " in err
    assert err.count("\n") == 1
    assert (tmp_path / "out.json").read_text() == "old"
    assert set(tmp_path.iterdir()) - {tmp_path / "__pycache__"} == before


@pytest.mark.parametrize(
    ("file", "says"), [("nowhere.json", "No such file or directory"), (".", "Is a directory"), ("a\nb", "No such file")]
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, file: str, says: str
) -> None:
    """In one line, whatever its name is."""
    monkeypatch.chdir(tmp_path)
    base, ours, _ = files(tmp_path, "1", "1", "1")
    assert main(["merge", base, ours, file]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("mergecore: " + file.replace("\n", "\\n"))
    assert says in err


@pytest.mark.parametrize(("file", "says"), [("no/where.json", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_written_is_named(run: Run, tmp_path: Path, file: str, says: str) -> None:
    """And no temporary file stays."""
    code, out, err = run("1", "2", "1", "-o", file)
    assert (code, out) == (2, "")
    assert err.startswith(f"mergecore: {file}: cannot be written ({says})")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.json", "ours.json", "theirs.json"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read and write everything")
def test_permissions_are_respected(run: Run, tmp_path: Path) -> None:
    """A file that may not be written is not replaced either; one that may not be read is named."""
    (tmp_path / "out.json").write_text("old")
    (tmp_path / "out.json").chmod(0o444)
    assert "out.json: cannot be written (Permission denied)" in run("1", "2", "1", "-o", "out.json").err
    assert (tmp_path / "out.json").read_text() == "old"
    (tmp_path / "out.json").chmod(0)
    assert main(["merge", "out.json", "out.json", "out.json"]) == 2


def test_levels_that_python_has_no_stack_for_are_one_line_too(run: Run) -> None:
    """A merge of 200 levels may end in a ``RecursionError``, by how deep the stack was before."""

    def at(depth: int) -> Outcome:
        return at(depth - 1) if depth else run(*('{"a":' * 200 + value + "}" * 200 for value in "123"))

    found = at(sys.getrecursionlimit() - 450)
    assert found.code in (1, 2)
    assert found.code == 1 or found == (2, "", found.err)
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    "argv", [[], ["merge"], ["merge", "a", "b"], ["merge", "a", "b", "c", "--report", "xml"], ["x"]]
)
def test_usage_errors_exit_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As argparse reports them."""
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2
    assert "usage: mergecore" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ reports


def test_conflicts_are_an_aligned_table(run: Run) -> None:
    """Path, base, each candidate under the name of its side, and why; long values shortened, absent ones said so."""
    base = '{"title": "milk", "box": {"x": 1}, "note": null}'
    ours = '{"title": "oat milk", "note": "a"}'
    theirs = json.dumps({"title": "soy milk " * 9, "box": {"x": 2}, "note": []})
    assert run(base, ours, theirs).err.splitlines() == [
        "3 conflicts; the output shows one candidate of each:",
        "path   base      ours        theirs                          reason",
        'title  "milk"    "oat milk"  "soy milk soy milk soy milk...  no times',
        'box    {"x": 1}  (absent)    {"x": 2}                        edit against deletion',
        'note   null      "a"         []                              no times',
    ]


def test_nothing_in_a_table_moves_its_lines(run: Run) -> None:
    """Line ends and escape codes in names and values are spelled out."""
    code, _, err = run(*(json.dumps({"a\n\x1b[1m": f"\x9b{x}\n"}) for x in "123"))
    assert code == 1
    assert len(err.splitlines()) == 3
    assert all(line.isprintable() for line in err.split("\n"))


def test_a_conflict_about_the_whole_document_has_a_name(run: Run) -> None:
    """The path is empty there."""
    assert "the record  1     2     3       no times" in run("1", "2", "3").err.splitlines()


def test_a_json_report_is_one_document(run: Run) -> None:
    """With the path as text and as steps, the candidates, and everything else that a conflict says."""
    at = ("--at-ours", "2024-01-01T00:00Z", "--at-theirs", "1704067200001")
    found = run('{"a": [{"b.c": 1}]}', '{"a": [{"b.c": {"x": 2.50}}]}', '{"a": [{}]}', "--report", "json", *at)
    assert found.code == 1
    assert found.report == {
        "conflicts": [
            {
                "path": "a[0].b~1c",
                "steps": ["a", 0, "b.c"],
                "base": 1,
                "candidates": [
                    {"name": "ours", "value": {"x": 2.5}, "stamp": "2024-01-01T00:00:00.000Z", "id": "ours"},
                    {"name": "theirs", "stamp": "2024-01-01T00:00:00.001Z", "id": "theirs"},
                ],
                "strategy": "keep_both",
                "reason": "edit against deletion",
                "detail": "",
            }
        ]
    }
    assert '"x": 2.50' in found.err


def test_absent_is_not_null_in_a_json_report(run: Run) -> None:
    """What is absent has no key."""
    (conflict,) = run("{}", '{"a": null}', '{"a": 1}', "--report", "json").report["conflicts"]
    assert "base" not in conflict
    assert [c.get("value", "absent") for c in conflict["candidates"]] == [1, None]
    (conflict,) = run('{"a": null}', "{}", '{"a": 1}', "--report", "json").report["conflicts"]
    assert conflict["base"] is None
    assert [c.get("value", "absent") for c in conflict["candidates"]] == [1, "absent"]


def test_a_json_report_without_conflicts_is_a_document_too(run: Run) -> None:
    """So that a reader need not look at the exit code first."""
    assert run("1", "2", "1", "--report", "json").report == {"conflicts": []}


def test_a_json_report_is_plain_ascii(run: Run) -> None:
    """Whatever the values, and whatever standard error can encode."""
    found = run('{"é": 1}', '{"é": "\\ud800"}', '{"é": "😀"}', "--report", "json")
    assert found.err.isascii()
    assert {c["value"] for c in found.report["conflicts"][0]["candidates"]} == {"\ud800", "😀"}


def test_explain_says_how_each_two_sided_change_was_decided(run: Run) -> None:
    """As text before the conflicts, or in the report as verdicts."""
    sides = '{"a": 1, "b": {"x": 1}}', '{"a": 2, "b": {"x": 2}}', '{"a": 3}'
    at = ("--at-ours", "1", "--at-theirs", "2")
    text = run(*sides, "--explain", *at).err
    assert "a: decided by lww" in text
    assert "lost       2 (ours at 1970-01-01T00:00:00.001Z)" in text
    assert "from base to ours:\n    Value of root['x'] changed from 1 to 2." in text
    assert text.index("decided by") < text.index("1 conflict;")
    report = run(*sides, "--explain", "--report", "json", *at).report
    assert [c["path"] for c in report["conflicts"]] == ["b"]
    assert report["verdicts"][0] == {
        "path": "a",
        "steps": ["a"],
        "decided_by": "lww",
        "base": 1,
        "value": 3,
        "lost": [{"name": "ours", "value": 2, "stamp": "1970-01-01T00:00:00.001Z", "id": "ours"}],
        "reason": "",
    }
    assert report["verdicts"][1]["decided_by"] == "open"


def test_explain_speaks_where_there_is_nothing_to_explain(run: Run) -> None:
    """Silence could be taken for a failure."""
    assert run("1", "2", "1", "--explain") == (0, "2", "Each change was made on one side only.\n")


# ------------------------------------------------------------------------------------------ models


@pytest.fixture
def shop(tmp_path: Path) -> None:
    """A module of models in the current directory."""
    (tmp_path / "cli_shop.py").write_text(
        """
import datetime
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypedDict
import msgspec
from mergecore import Policy, counter, lww, strategy

class Item(msgspec.Struct, rename="camel"):
    sku_code: str
    qty: Annotated[int, counter] = 0
    price: float = 0.0

class Order(msgspec.Struct, kw_only=True, rename="camel"):
    order_id: str
    items: list[Item] = []
    tags: set[str] = set()
    total: Decimal | None = None
    ratio: float = 1.0
    since: datetime.datetime | None = None
    extra: Any = None
    labels: dict[int, float] = {}
    broken: Annotated[int, strategy("broken")(lambda base, ours, theirs: 1 // 0)] = 0
    class Inner(msgspec.Struct):
        a: int

@dataclass
class Span:
    start: int
    end: int
    def __post_init__(self):
        if self.start > self.end:
            raise ValueError("starts after its end")

class Misled(msgspec.Struct):
    a: int
    __merge__ = None
Misled.__merge__ = Policy(fields={"nope": lww})
"""
    )


ORDER = """{
  "tags": ["c", "a"],
  "orderId": "x",
  "total": 1.10,
  "ratio": 1e3,
  "since": "2024-01-01T00:00:00+00:00",
  "labels": {"1": 1.50},
  "extra": {"k": 1e400, "z": [1.50, 12345678901234567890]},
  "items": [{"price": 1.10, "skuCode": "A"}, {"skuCode": "B", "qty": 2, "price": 2.20}]
}
"""


def indented(text: str) -> str:
    """As the command line writes what has line breaks: numbers as they are, each element on its line."""
    return write(*read(text.encode())).decode()


@pytest.mark.usefixtures("shop")
def test_a_model_decides_and_the_document_keeps_its_words(run: Run) -> None:
    """Strategies come from annotations; order of keys, texts of numbers and left out defaults from the files."""
    ours = ORDER.replace('"qty": 2', '"qty": 3').replace("1e3", "1.0e3").replace('"total": 1.10', '"total": 1.20')
    theirs = (
        ORDER.replace('"qty": 2', '"qty": 5').replace("1.50, 123", "1.60, 123").replace("1.50}", '1.50, "7": 7.70}')
    )
    merged = ours.replace('"qty": 3', '"qty": 6').replace("1.50, 123", "1.60, 123").replace("1.50}", '1.50, "7": 7.70}')
    assert run(ORDER, ours, theirs, "--model", "cli_shop:Order") == (0, indented(merged), "")


@pytest.mark.usefixtures("shop")
def test_elements_that_both_sides_changed_keep_their_words(run: Run) -> None:
    """Beside elements that came and went."""

    def order(*items: str) -> str:
        return f'{{"orderId":"x","items":[{",".join(items)}]}}'

    first, last = '{"price":1.10,"skuCode":"A"%s}', '{"skuCode":"B","price":2.20}'
    new, between = '{"price":9.90,"skuCode":"N"}', '{"price":5.50,"skuCode":"Z"}'
    base = order(first % "", between, last)
    ours = order(first % ',"qty":1', between)
    theirs = order(first % ',"qty":2', between, new, last)
    merged = order(first % ',"qty":3', between, new)
    assert run(base, ours, theirs, "--model", "cli_shop:Order")[:2] == (0, merged)


@pytest.mark.usefixtures("shop")
def test_one_document_is_written_as_it_is_under_a_model_too(run: Run) -> None:
    """Defaults that it leaves out, spellings that the model would normalize: nothing changes by itself."""
    text = indented(ORDER)
    assert run(text, text, text, "--model", "cli_shop:Order") == (0, text, "")


@pytest.mark.usefixtures("shop")
def test_sets_that_both_sides_changed_are_written_alike_in_any_process(tmp_path: Path) -> None:
    """Python's order of a set depends on a seed; the output, the reports and the explanation do not."""
    texts = [json.dumps({"orderId": "x", "tags": [*"cab", *more], "extra": more}) for more in ("", "xyz", "uvw")]
    names = files(tmp_path, *texts)
    options = ("--model", "cli_shop:Order", "--explain")
    seeds = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("0", "1", "2", "3")]
    found = {(r.stdout, r.stderr) for r in (command("merge", *names, *options, cwd=tmp_path, env=env) for env in seeds)}
    ((out, _),) = found
    assert sorted(json.loads(out)["tags"]) == [*"abcuvwxyz"]


@pytest.mark.usefixtures("shop")
def test_conflicts_under_a_model_are_reported_by_encoded_names(run: Run) -> None:
    """In the table as in the report."""
    sides = [f'{{"orderId": "{x}", "items": [{{"skuCode": "A{x}"}}]}}' for x in "123"]
    found = run(*sides, "--model", "cli_shop:Order", "--report", "json", "--explain")
    assert [c["path"] for c in found.report["conflicts"]] == ["orderId", "items[0].skuCode"]
    assert found.out == sides[2]


@pytest.mark.usefixtures("shop")
def test_an_invariant_of_the_model_is_an_open_conflict(run: Run) -> None:
    """The merged halves fit each other no more, and one whole side is written."""
    code, out, err = run(
        '{"start":1,"end":5}', '{"start":4,"end":5}', '{"start":1,"end":2}', "--model", "cli_shop:Span"
    )
    assert (code, json.loads(out)) in ((1, {"start": 4, "end": 5}), (1, {"start": 1, "end": 2}))
    assert "invariant: starts after its end" in err


@pytest.mark.usefixtures("shop")
def test_a_nested_class_can_be_the_model(run: Run) -> None:
    """``MODULE:OUTER.INNER``."""
    assert run('{"a":1}', '{"a":2}', '{"a":1}', "--model", "cli_shop:Order.Inner") == (0, '{"a":2}', "")


@pytest.mark.usefixtures("shop")
def test_errors_of_the_merge_itself_are_one_line(run: Run) -> None:
    """A strategy that raises, a policy that leads nowhere."""
    broken = [f'{{"orderId": "x", "broken": {x}}}' for x in "123"]
    code, out, err = run(*broken, "--model", "cli_shop:Order")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("mergecore: broken: strategy 'broken' raised ZeroDivisionError")
    code, out, err = run('{"a": 1}', '{"a": 2}', '{"a": 3}', "--model", "cli_shop:Misled")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no field 'nope'" in err


@pytest.mark.usefixtures("shop")
def test_a_record_that_no_json_says_is_refused(run: Run, tmp_path: Path) -> None:
    """What is written must read back as what was merged."""
    (tmp_path / "cli_sum.py").write_text(
        "import msgspec, mergecore, typing\n"
        "add = mergecore.strategy('add')(lambda base, ours, theirs: ours + theirs)\n"
        "class Sum(msgspec.Struct):\n    n: typing.Annotated[float, add]\n"
    )
    code, out, err = run('{"n": 1}', '{"n": 1.5e308}', '{"n": 1.6e308}', "--model", "cli_sum:Sum")
    assert (code, out) == (2, "")
    assert "no JSON that Sum would read back" in err


# ------------------------------------------------------------------------------------------ as a process


def test_the_command_is_installed(tmp_path: Path) -> None:
    """As a console script, and as a module."""
    names = files(tmp_path, '{"a": 1}', '{"a": 2}', '{"a": 3}')
    done = command("merge", *names)
    assert (done.returncode, done.stdout) == (1, b'{"a": 3}')
    assert done.stderr.splitlines()[0] == b"1 conflict; the output shows one candidate of each:"
    module = subprocess.run([sys.executable, "-m", "mergecore", "merge", *names], capture_output=True, timeout=60)
    assert (module.returncode, module.stdout, module.stderr) == (1, done.stdout, done.stderr)
    assert b"Exit codes: 0" in command("merge", "--help").stdout


def test_deepdiff_is_not_imported_without_explain(tmp_path: Path) -> None:
    """Importing it takes longer than the merge."""
    names = files(tmp_path, '{"a": [1]}', "{}", '{"a": [2]}')
    code = "import sys, mergecore.cli as c; c.main(sys.argv[1:]); print('deepdiff' in sys.modules)"
    for options, imported in ([], b"False"), (["--report", "json", "--explain"], b"False"), (["--explain"], b"True"):
        argv = [sys.executable, "-c", code, "merge", *names, *options]
        done = subprocess.run(argv, capture_output=True, timeout=60, check=True)
        assert done.stdout.endswith(imported + b"\n")


@pytest.fixture
def large(tmp_path: Path) -> list[str]:
    """Three documents that no pipe takes at once."""
    return files(tmp_path, *[json.dumps(list(range(200_000)))] * 3)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_broken_pipe_ends_it_quietly(large: list[str], unbuffered: str) -> None:
    """As with ``| head``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mergecore", "merge", *large],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert (process.stderr.read(), process.wait(60)) == (b"", 2)
    process.stderr.close()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_slow_reader_gets_everything(large: list[str], unbuffered: str) -> None:
    """Without a buffer in between too, where the system takes as much as fits into the pipe."""
    done = command("merge", *large, env={**os.environ, "PYTHONUNBUFFERED": unbuffered})
    assert done.stdout == Path(large[0]).read_bytes()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe to wait at")
def test_an_interrupt_gives_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C while it waits for a file."""
    base, ours, theirs = files(tmp_path, "1", "1", "1")
    os.unlink(theirs)
    os.mkfifo(theirs)
    argv = [sys.executable, "-m", "mergecore", "merge", base, ours, theirs]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        with open(theirs, "wb"):  # opens once the other end reads
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert process.communicate() == (b"", b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_is_an_error_for_the_output_and_nothing_for_the_report(tmp_path: Path) -> None:
    """The one is what was asked for; the other must not change the exit code."""
    argv = [sys.executable, "-m", "mergecore", "merge", *files(tmp_path, "1", "2", "3")]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, timeout=60)
        assert done.returncode == 2
        assert done.stderr.startswith(b"mergecore: standard output: cannot be written (No space left on device)")
        assert done.stderr.count(b"\n") == 1
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=full, timeout=60)
        assert (done.returncode, done.stdout) == (1, b"3")


def test_standard_output_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    """JSON is; a report on a terminal that cannot show a letter spells it out."""
    names = files(tmp_path, '{"é": 1}', '{"é": 2}', '{"é": 3}')
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = command("merge", *names, env=env)
    assert done.stdout.decode() == '{"é": 3}'
    assert rb"\xe9" in done.stderr


# ------------------------------------------------------------------------------------------ text


BASE, OURS, THEIRS = "\ufeffa\r\nb\r\nc\r\nd\r\n", "\ufeffa\r\nB\r\nx\r\nc\r\n", "a\r\nb1\r\nx\r\nc\r\nd\r\ne"


@pytest.mark.skipif(shutil.which("git") is None, reason="What git prints is compared, and git is not installed.")
@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
@pytest.mark.parametrize("theirs", [THEIRS, BASE, "", OURS, BASE.replace("c", "C"), b"a\n\xff\xfe\nb\r\n"])
def test_text_is_merged_as_git_merges_it(run: Run, tmp_path: Path, style: str, theirs: Text) -> None:
    """Byte for byte, markers, their names and line ends too, and bytes that are no UTF-8; the exit code is 0 or 1."""
    ours = OURS.encode()
    code = run(BASE, ours, theirs, "--format", "text", "--style", style, "-o", "merged").code
    command = ["git", "merge-file", "-p", *([f"--{style}"] if style != "merge" else []), "ours.json", "base.json"]
    git = subprocess.run([*command, "theirs.json"], cwd=tmp_path, capture_output=True, env=GIT)
    assert (code, (tmp_path / "merged").read_bytes()) == (min(git.returncode, 1), git.stdout)


GIT = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def test_conflicts_of_a_text_are_counted(run: Run) -> None:
    """They are in the output; on standard error stands how many."""
    lines = "1\n2\n3\n4\n5\n6\n7\n"
    done = run(lines, lines.replace("1", "a").replace("7", "a"), lines.replace("1", "b").replace("7", "b"), *TEXT)
    assert (done.code, done.err) == (1, "2 conflicts, between markers in the output\n")
    assert run("a\n", "b\n", "a\n", *TEXT) == (0, "b\n", "")


TEXT = ("--format", "text")


@pytest.mark.parametrize(
    ("theirs", "options", "says"),
    [
        ("b\0", TEXT, "theirs.json: holds zero bytes, so it is no text (or is UTF-16); give a file of text"),
        ("b", (*TEXT, "--explain"), "--explain: means nothing with --format text; leave one of the two out"),
        ("b", (*TEXT, "--at-ours", "1"), "--at-ours: means nothing with --format text; leave one of the two out"),
        ("b", (*TEXT, "--report", "json"), "--report json: means nothing with --format text"),
        ("1", ("--style", "diff3"), "--style: means nothing without --format text"),
    ],
)
def test_what_makes_no_sense_for_text_is_refused(
    run: Run, tmp_path: Path, theirs: str, options: tuple[str, ...], says: str
) -> None:
    """In one line, and nothing is written."""
    done = run("1", "2", theirs, *options, "-o", "merged")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mergecore: {says}") and done.err.count("\n") == 1
    assert not (tmp_path / "merged").exists()


def test_one_huge_line_is_a_text(run: Run) -> None:
    """Ten million characters without an end."""
    line = "word " * 2_000_000
    assert run(line, line, line + "x", *TEXT).out == line + "x"
