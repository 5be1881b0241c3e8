"""``mergecore resolve``: asks a person about open conflicts, one field after the other, as ``git add -p`` asks.

Each answer is stored at once, and a field is settled as a whole; whoever stops in the middle loses nothing.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from rich.table import Table
from rich.text import Text

from mergecore import UNSET, AnswerError, Candidate, Conflict, InvalidInput, Lost, RecordDeleted, Version
from mergecore.explain import brief, place, printable
from mergecore.jsontext import Style, builtins, write
from mergecore.paths import Path

from .errors import RecordNotFound
from .node import Node
from .shown import show, text, value_at, who

__all__ = ["Asker", "Settled"]

_LONGEST = 2000
"""So many characters of a value are shown."""


class Settled(NamedTuple):
    """What came of asking."""

    answered: int
    """So many fields."""
    open: int
    """So many records still have open conflicts."""


class _Skip(Exception):
    """Not this field, now."""


class _Quit(Exception):
    """No more questions."""


class _Both(Exception):
    """Keep each value of this field."""


class _Field(NamedTuple):
    """What is open in one field: settled as a whole."""

    path: Path
    conflicts: list[Conflict]


class Asker:
    """Asks about the open conflicts of a node, on the terminal."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.answered = 0

    def ask(self, guid: str | None = None) -> Settled:
        """About one record, or about all. Raises ``RecordNotFound`` and ``InvalidInput``."""
        items = [item for item in self.node.inbox() if guid in (None, item.guid) and item.conflicts]
        if guid is not None and not items:
            self.node.version(guid)  # or else there is none
        try:
            for item in items:
                self._record(item.guid, item.model)
        except _Quit:
            pass
        except KeyboardInterrupt:
            text("\n")
            raise
        asked = {item.guid for item in items}
        return Settled(self.answered, sum(bool(x.conflicts) for x in self.node.inbox() if x.guid in asked))

    def _record(self, guid: str, model: str) -> None:
        skipped: set[Path] = set()
        shown = False
        while True:
            try:
                version = self.node.version(guid)  # each time: others may write meanwhile
            except RecordNotFound:
                return
            fields = [field for field in _open(version) if field.path not in skipped]
            if not fields:
                return
            if not shown:
                _introduce(model, version)
                shown = True
            field = fields[0]
            try:
                self._settle(guid, version, field)
                self.answered += 1
            except _Skip:
                skipped.add(field.path)
            except _Both:
                self._both(guid, field.path)
            except (AnswerError, InvalidInput, RecordDeleted) as error:
                _complain(f"not stored: {error}")

    def _settle(self, guid: str, version: Version[Any], field: _Field) -> None:
        answers: dict[Path, Any] = {}
        for n, conflict in enumerate(field.conflicts, 1):
            many = f" ({n} of {len(field.conflicts)} in {place(field.path)})" if len(field.conflicts) > 1 else ""
            answers[conflict.path] = self._question(version, conflict, many)
        self.node.resolve(guid, answers, base=version)

    def _both(self, guid: str, path: Path) -> None:
        try:
            copies = self.node.fork(guid, path)
        except (InvalidInput, RecordDeleted) as error:
            _complain(f"not stored: {error}")
            return
        self.answered += 1
        show(f"kept both: beside it there is now {', '.join(map(printable, copies))}")

    # ---- one question

    def _question(self, version: Version[Any], conflict: Conflict, many: str) -> Any:
        lost = [x for x in version.lost if x.path == conflict.path]
        choices: list[Candidate | Lost] = [*conflict.candidates, *lost]
        mine = [c for c in conflict.candidates if c.name == self.node.name]
        theirs = [c for c in conflict.candidates if c.name != self.node.name]
        letters: dict[str, Candidate | Lost] = {}
        if len(mine) == 1:
            letters["m"] = mine[0]
            if len(theirs) == 1:
                letters["t"] = theirs[0]
        letters |= {str(n): choice for n, choice in enumerate(choices, 1)}
        self._show(conflict, choices, letters, many)
        keys = [*letters, "e", *(["b"] if conflict.path else []), "s", "q", "?"]
        while True:
            asked = Text.assemble((f"{place(conflict.path)} ", "bold"), (f"[{','.join(keys)}]? ", "blue"))
            key = _typed(asked)
            if key in letters:
                return letters[key] if isinstance(letters[key], Candidate) else letters[key].value
            if key not in keys:
                if key:
                    show(f"{printable(key)!r:.40} is none of {', '.join(keys)}")
                continue
            if key == "s":
                raise _Skip
            if key == "q":
                raise _Quit
            if key == "b":
                raise _Both
            if key == "?":
                self._help(keys, len(choices))
            elif (value := _written((mine or choices)[0].value)) is not UNSET:
                return value

    def _show(
        self, conflict: Conflict, choices: Sequence[Candidate | Lost], letters: dict[str, Any], many: str
    ) -> None:
        why = f"{conflict.reason}: {conflict.detail}" if conflict.detail else conflict.reason
        show(Text.assemble((f"  {place(conflict.path)}", "bold"), f": {printable(why)}{many}"))
        rows = Table.grid(padding=(0, 2, 0, 0))
        for _ in range(3):
            rows.add_column(overflow="fold")
        if conflict.base is not UNSET:
            rows.add_row("    base", Text(value_at(conflict.path, conflict.base, _LONGEST)), "")
        for n, choice in enumerate(choices, 1):
            letter = next((key for key, found in letters.items() if found is choice and key in "mt"), "")
            named = {"m": " mine", "t": " theirs"}.get(letter, "")
            is_lost = isinstance(choice, Lost)
            known = who(None if is_lost else choice.name, choice.by, choice.stamp)  # type: ignore[union-attr]
            marked = Text.assemble((f"    {n}{named}{' lost' if is_lost else ''}", "cyan"))
            rows.add_row(marked, Text(value_at(conflict.path, choice.value, _LONGEST)), Text(printable(known), "dim"))
        show(rows)

    def _help(self, keys: Sequence[str], choices: int) -> None:
        told = {
            "m": f"mine: what {printable(self.node.name)} wrote",
            "t": "theirs: what the other one wrote",
            "1": "the value of that number" if choices > 1 else "the value",
            "e": "edit: another value, as JSON",
            "b": "both: keep each value, in records of their own",
            "s": "skip this field",
            "q": "quit: what is answered so far is stored",
            "?": "this help",
        }
        for key in keys:
            if key in told:
                show(f"  {f'1-{choices}' if key == '1' and choices > 1 else key:3}  {told[key]}")


def _open(version: Version[Any]) -> list[_Field]:
    """The open conflicts by field, those about the record as a whole first."""
    found: dict[Path, _Field] = {}
    for conflict in version.conflicts:
        try:
            at = version.explain(conflict.path).path
        except InvalidInput:  # it is above fields
            at = conflict.path
        found.setdefault(at, _Field(at, [])).conflicts.append(conflict)
    return sorted(found.values(), key=lambda field: bool(field.path))


def _introduce(model: str, version: Version[Any]) -> None:
    """Which record it is that questions are about."""
    show(Text(f"{printable(model)} {printable(version.id)}", "bold"))
    show(Text(f"  {brief(version.record, _LONGEST)}", "dim"))
    asked = {conflict.path for conflict in version.conflicts}
    for lost in (x for x in version.lost if x.path not in asked):
        value = value_at(lost.path, lost.value, _LONGEST)
        show(Text(f"  lost at {place(lost.path)}: {value} ({printable(who(None, lost.by, lost.stamp))})", "dim"))


def _complain(why: str) -> None:
    show(Text(printable(why), "red"))


def _typed(asked: Text) -> str:
    """A line from the terminal, without the blanks around it. Raises ``_Quit`` where it ends."""
    show(asked, end="")
    line = sys.stdin.buffer.readline()
    if not line:
        text("\n")
        raise _Quit
    return line.decode(errors="replace").strip()


# ------------------------------------------------------------------------------------------ another value


def _written(value: Any) -> Any:
    """What a person makes of a value, as JSON: in their editor, or else on a line. ``UNSET``: nothing."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    made = _in_editor(editor, value) if editor else _typed(Text("another value, as JSON (empty: none): "))
    if not made or not made.strip():
        return UNSET
    try:
        return msgspec.json.decode(made)
    except (msgspec.MsgspecError, UnicodeError) as error:
        _complain(f"that is no JSON: {error}; a text stands in quotes")
        return UNSET


def _in_editor(editor: str, value: Any) -> bytes:
    document = write(None if value is UNSET else builtins(value), Style(indent="  ", tail="\n"))
    handle, name = tempfile.mkstemp(".json", "mergecore-")
    try:
        with open(handle, "wb") as file:
            file.write(document)
        before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is the editor's
        try:
            code = subprocess.run([*shlex.split(editor), name]).returncode
        finally:
            signal.signal(signal.SIGINT, before)
        if code in (-signal.SIGINT, 130):
            raise KeyboardInterrupt
        if code:
            _complain(f"{editor} ended with {code}: nothing is taken from it")
            return b""
        with open(name, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        _complain(f"{editor}: cannot be run ({error}); set EDITOR to another one")
        return b""
    finally:
        os.unlink(name)
