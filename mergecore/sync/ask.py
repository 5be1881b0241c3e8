"""``mergecore resolve``: asks a person about open conflicts and values that lost, one field after the other, as
``git add -p`` asks.

Each answer is stored at once, and a field is settled as a whole; whoever stops in the middle loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

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
    """In so many records something still waits."""


class _Skip(Exception):
    """Not this field, now."""


class _Quit(Exception):
    """No more questions."""


class _Leave(Exception):
    """What is shown stays."""


class _Both(Exception):
    """Keep each value of this field."""


class _Field(NamedTuple):
    """What waits in one field: settled as a whole."""

    path: Path
    conflicts: list[Conflict]
    lost: dict[Path, list[Lost]]
    """Values that lost where nothing is open."""


Choice: TypeAlias = Candidate | Lost
"""An answer that is there already."""


class Asker:
    """Asks about what waits at a node, on the terminal."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.answered = 0

    def ask(self, guid: str | None = None) -> Settled:
        """About one record, or about all. Raises ``RecordNotFound`` and ``InvalidInput``."""
        items = [item for item in self.node.inbox() if guid in (None, item.guid)]
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
        return Settled(self.answered, sum(item.guid in asked for item in self.node.inbox()))

    def _record(self, guid: str, model: str) -> None:
        skipped: set[Path] = set()
        shown = False
        while True:
            try:
                version = self.node.version(guid)  # each time: others may write meanwhile
            except RecordNotFound:
                return
            fields = [field for field in _waiting(version) if field.path not in skipped]
            if not fields:
                return
            if not shown:
                show(Text(f"{printable(model)} {printable(version.id)}", "bold"))
                show(Text("  (deleted)" if version.deleted else f"  {brief(version.record, _LONGEST)}", "dim"))
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
        whole = len(field.conflicts) + len(field.lost)
        many = [f" ({n} of {whole} in {place(field.path)})" if whole > 1 else "" for n in range(1, whole + 1)]
        for conflict in field.conflicts:
            answers[conflict.path] = self._about_conflict(version, conflict, many.pop(0))
        for path, lost in field.lost.items():
            with contextlib.suppress(_Leave):
                answers[path] = self._about_lost(version, path, lost, many.pop(0))
        self.node.resolve(guid, answers or {field.path: _shown(version, field.path)}, base=version)

    def _both(self, guid: str, path: Path) -> None:
        try:
            copies = self.node.fork(guid, path)
        except (InvalidInput, RecordDeleted) as error:
            _complain(f"not stored: {error}")
            return
        self.answered += 1
        show(f"kept both: beside it there is now {', '.join(map(printable, copies))}")

    # ---- one question

    def _about_conflict(self, version: Version[Any], conflict: Conflict, many: str) -> Any:
        choices: list[Choice] = [*conflict.candidates, *(x for x in version.lost if x.path == conflict.path)]
        mine = [c for c in conflict.candidates if c.name == self.node.name]
        theirs = [c for c in conflict.candidates if c.name != self.node.name]
        letters: dict[str, Choice] = {}
        if len(mine) == 1:
            letters["m"] = mine[0]
            if len(theirs) == 1:
                letters["t"] = theirs[0]
        why = f"{conflict.reason}: {conflict.detail}" if conflict.detail else conflict.reason
        above = {} if conflict.base is UNSET else {"base": conflict.base}
        return self._question(conflict.path, f"{why}{many}", above, choices, letters, (mine or choices)[0])

    def _about_lost(self, version: Version[Any], path: Path, lost: Sequence[Lost], many: str) -> Any:
        letters: dict[str, Choice] = {"r": lost[0]} if len(lost) == 1 else {}
        why = f"lost, {', '.join(sorted({x.decided_by for x in lost}))}{many}"
        above = {"shown": _shown(version, path)}
        return self._question(path, why, above, lost, letters, lost[0], "l")

    def _question(
        self,
        path: Path,
        why: str,
        above: dict[str, Any],
        choices: Sequence[Choice],
        letters: dict[str, Choice],
        edited: Choice,
        *more: str,
    ) -> Any:
        """A choice, or another value; ``edited`` is what that begins with."""
        if any(choice not in letters.values() for choice in choices):
            letters |= {str(n): choice for n, choice in enumerate(choices, 1)}
        _show(path, why, above, choices, letters)
        keys = [*more, *letters, "e", *(["b"] if path else []), "s", "q", "?"]
        while True:
            key = _typed(Text.assemble((f"{place(path)} ", "bold"), (f"[{','.join(keys)}]? ", "blue")))
            if key in letters:
                return letters[key]
            if key not in keys:
                if key:
                    show(f"{printable(key)!r:.40} is none of {', '.join(keys)}")
                continue
            if key == "l":
                raise _Leave
            if key == "s":
                raise _Skip
            if key == "q":
                raise _Quit
            if key == "b":
                raise _Both
            if key == "?":
                self._help(keys, len(choices))
            elif (value := _written(edited.value)) is not UNSET:
                return value

    def _help(self, keys: Sequence[str], choices: int) -> None:
        told = {
            "m": f"mine: what {printable(self.node.name)} wrote",
            "t": "theirs: what the other one wrote",
            "l": "leave it: what is shown stays, and this is asked no more",
            "r": "restore it: what lost is shown again",
            "1": "the value of that number" if choices > 1 else "the value",
            "e": "edit: another value; a text as it is, or JSON",
            "b": "both: keep each value, in records of their own",
            "s": "skip this field",
            "q": "quit: what is answered so far is stored",
            "?": "this help",
        }
        for key in keys:
            if key in told:
                show(f"  {f'1-{choices}' if key == '1' and choices > 1 else key:3}  {told[key]}")


def _waiting(version: Version[Any]) -> list[_Field]:
    """What waits, by field; what is about the record as a whole first."""
    found: dict[Path, _Field] = {}

    def field(path: Path) -> _Field:
        try:
            at = version.explain(path).path
        except InvalidInput:  # it is above fields
            at = path
        return found.setdefault(at, _Field(at, [], {}))

    for conflict in version.conflicts:
        field(conflict.path).conflicts.append(conflict)
    asked = {conflict.path for conflict in version.conflicts}
    for lost in version.lost:
        if lost.path not in asked:
            field(lost.path).lost.setdefault(lost.path, []).append(lost)
    return sorted(found.values(), key=lambda field: bool(field.path))


def _shown(version: Version[Any], path: Path) -> Any:
    """What is shown there; of a path into a field, all of the field."""
    if path:
        return version.explain(path).value
    return UNSET if version.deleted else version.record


def _show(path: Path, why: str, above: dict[str, Any], choices: Sequence[Choice], letters: dict[str, Choice]) -> None:
    show(Text.assemble((f"  {place(path)}", "bold"), f": {printable(why)}"))
    rows = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        rows.add_column(overflow="fold")
    for name, value in above.items():
        rows.add_row(f"    {name}", Text(value_at(path, value, _LONGEST)), "")
    for n, choice in enumerate(choices, 1):
        assert choice is not None
        is_lost = isinstance(choice, Lost)
        letter = next((key for key, found in letters.items() if found is choice and key in "mt"), "")
        named = [str(n)] * ("1" in letters) + [{"m": "mine", "t": "theirs"}.get(letter, "")] + ["lost"] * is_lost
        known = who(choice.name if isinstance(choice, Candidate) else None, choice.by, choice.stamp)
        marked = Text(f"    {' '.join(filter(None, named))}", "cyan")
        rows.add_row(marked, Text(value_at(path, choice.value, _LONGEST)), Text(printable(known), "dim"))
    show(rows)


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
    """What a person makes of a value: in their editor, or else on a line. A text stays one; else it is JSON, and of a
    text on a line it may be. ``UNSET``: nothing.
    """
    editor, is_text = os.environ.get("VISUAL") or os.environ.get("EDITOR"), isinstance(value, str)
    if editor:
        made = _in_editor(editor, value)
        if made is not None and is_text:
            return made if value.endswith("\n") else made.removesuffix("\n")  # most editors end the last line
    else:
        made = _typed(Text(f"another value, {'a text or ' * is_text}JSON (empty: none): "))
    if not made or not made.strip():
        return UNSET
    try:
        return msgspec.json.decode(made)
    except (msgspec.MsgspecError, UnicodeError) as error:
        if is_text:
            return made
        _complain(f"that is no JSON: {error}")
        return UNSET


def _in_editor(editor: str, value: Any) -> str | None:
    """``None``: nothing came of it."""
    if isinstance(value, str):
        document, kind = value if value.endswith("\n") else f"{value}\n", ".txt"
    else:
        document, kind = (
            write(None if value is UNSET else builtins(value), Style(indent="  ", tail="\n")).decode(),
            ".json",
        )
    handle, name = tempfile.mkstemp(kind, "mergecore-")
    try:
        with open(handle, "wb") as file:
            file.write(document.encode("utf-8", "surrogatepass"))
        before = signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is the editor's
        try:
            code = subprocess.run([*shlex.split(editor), name]).returncode
        finally:
            signal.signal(signal.SIGINT, before)
        if code in (-signal.SIGINT, 130):
            raise KeyboardInterrupt
        if code:
            _complain(f"{editor} ended with {code}: nothing is taken from it")
            return None
        with open(name, "rb") as file:
            return file.read().decode()
    except (OSError, ValueError) as error:
        _complain(f"{editor}: cannot be run ({error}); set EDITOR to another one")
        return None
    finally:
        os.unlink(name)
