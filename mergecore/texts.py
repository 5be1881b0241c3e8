"""Text: lines, words and characters, and three-way merges of lines that say what git says.

Imports ``diff`` and ``sequence``.
"""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from .diff import Block, Indexed, changes, trimmed
from .sequence import Region, regions

__all__ = ["UNITS", "Style", "Unit", "marked", "regions_of", "split"]

Unit: TypeAlias = Literal["line", "word", "char"]
UNITS: tuple[Unit, ...] = ("line", "word", "char")

Style: TypeAlias = Literal["merge", "diff3", "zdiff3"]


def split(text: str, unit: Unit) -> list[str]:
    """A text in pieces that make it up again.

    ``line``: up to and with each ``\\n``, as git has it; a lone ``\\r`` ends none. ``word``: runs of letters and
    digits, runs of blanks, and all else by itself (each line end, each ideograph and kana). ``char``: what people take
    for one character; neither a grapheme cluster (Unicode, UAX #29) nor CRLF is ever split. O(n).
    """
    if unit == "line":
        return list(io.StringIO(text, newline="\n"))
    if unit == "word":
        return re.findall(_ASCII_WORD, text, re.ASCII) if text.isascii() else _words(text)
    return _graphemes(text) if not text.isascii() or "\r" in text else list(text)


def regions_of(base: list[str], ours: list[str], theirs: list[str], unit: Unit) -> list[Region]:
    """What two sides changed of the pieces of a text."""
    index = Indexed(base)
    return list(regions(len(base), *(_changes(index, side, unit) for side in (ours, theirs))))


def _changes(base: Indexed, side: list[str], unit: Unit) -> list[Block]:
    """What changed from one list of pieces to another.

    Of lines by patience, as git judges. Of words, all words that the two share are matched (a longest common
    subsequence of words), and what stands between words where these are: many blanks do not outweigh a few words.
    """
    blocks = changes(base, side, only_unique=unit == "line")
    if unit == "word":
        new = {piece for block in blocks for piece in side[block.at : block.to] if _is_word(piece)}
        if not base.held.isdisjoint(new):  # else no word could be matched that is not
            return _by_words(base.elements, side)
    return blocks


def _by_words(a: list[str], b: list[str]) -> list[Block]:
    xs, ys = ([i for i, piece in enumerate(pieces) if _is_word(piece)] for pieces in (a, b))
    blocks: list[Block] = []
    i = j = x = y = 0  # how much is told, in pieces and in words
    searched = True
    end = Block(len(xs), len(xs), len(ys), len(ys))
    for block in (*changes([a[i] for i in xs], [b[j] for j in ys]), end):
        for to_i, to_j in zip(xs[x : block.start], ys[y : block.at]):
            blocks += _between(a, i, to_i, b, j, to_j, searched)
            i, j, searched = to_i + 1, to_j + 1, True
        x, y = block.stop, block.to
        searched = searched if block is end else block.searched
    return blocks + _between(a, i, len(a), b, j, len(b), searched)


def _between(a: list[str], i: int, to_i: int, b: list[str], j: int, to_j: int, searched: bool) -> list[Block]:
    """What is different between two matched words, without equal ends."""
    i, to_i, j, to_j = trimmed(a, i, to_i, b, j, to_j)
    return [Block(i, to_i, j, to_j, searched)] if i < to_i or j < to_j else []


def _is_word(piece: str) -> bool:
    """Not a blank, a line end or a punctuation mark."""
    return piece[0].isalnum() or piece[0] == "_" or unicodedata.category(piece[0])[0] == "S"


# ------------------------------------------------------------------------------------------ words and characters


_ASCII_WORD = r"\w+|[ \t]+|\r\n|[^\w \t]"

_IDEOGRAPHIC = (
    ("\u3040", "\u30ff"), ("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"),
    ("\U00020000", "\U0003ffff"),
)  # fmt: skip
"""The first and the last of each range."""


def _words(text: str) -> list[str]:
    words: list[list[str]] = []
    last = ""
    for cluster in _graphemes(text):
        kind = _kind(cluster)
        if kind and kind == last:
            words[-1].append(cluster)
        else:
            words.append([cluster])
        last = kind
    return ["".join(clusters) for clusters in words]


def _kind(cluster: str) -> str:
    """What a run of words is made of: letters, or blanks; empty of what is always by itself."""
    if cluster[0] in " \t\u3000":
        return "blank"
    letter = (cluster[0].isalnum() or cluster[0] == "_") and not _is_ideographic(cluster[0])
    return "letter" if letter else ""


def _is_ideographic(char: str) -> bool:
    return char >= "\u3040" and any(first <= char <= last for first, last in _IDEOGRAPHIC)


def _graphemes(text: str) -> list[str]:
    """Pieces between which every implementation of UAX #29 would split; in doubt, what might be one stays one."""
    clusters: list[str] = []
    start = flags = 0
    linked = False  # behind a virama, and the marks behind that: the letters around it are one
    for at in range(1, len(text)):
        before, char = text[at - 1], text[at]
        flags = flags + 1 if _is_flag(before) else 0
        linked = before >= "\u0300" and (unicodedata.combining(before) == 9 or (linked and _is_mark(before)))
        if not (linked or _joins(before, char) or (_is_flag(char) and flags % 2)):
            clusters.append(text[start:at])
            start = at
    return [*clusters, text[start:]] if text else []


def _joins(before: str, char: str) -> bool:
    if before < "\u0300" and char < "\u0300":
        return before == "\r" and char == "\n"
    if before in "\r\n" or unicodedata.category(before) == "Cc":
        return False
    return (
        _is_mark(char)
        or before == "\u200d"  # joined emoji
        or before in _PREPENDS
        or (_is_jamo(char) and (_is_jamo(before) or "\uac00" <= before <= "\ud7a3"))
        or ("\uac00" <= char <= "\ud7a3" and _is_jamo(before))
    )


def _is_mark(char: str) -> bool:
    return (
        unicodedata.category(char) in ("Mn", "Mc", "Me", "Cn")  # Cn: this Python does not know it, a newer may
        or char in _EXTENDS
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # the colour of a skin
        or "\U000e0020" <= char <= "\U000e007f"  # tags: flags of regions
    )


_EXTENDS = "\u200c\u200d\u0e33\u0eb3\uff9e\uff9f\u1cf5\u1cf6\U00011a3a"
_PREPENDS = (
    "\u1cf5\u1cf6\U00011a3a\U000113d1"
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\U000110bd\U000110cd"
    "\U000111c2\U000111c3\U0001193f\U00011941\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46"
)


def _is_jamo(char: str) -> bool:
    return (
        "\u1100" <= char <= "\u11ff"
        or "\ua960" <= char <= "\ua97c"
        or "\ud7b0" <= char <= "\ud7fb"
        or "\U00016d63" <= char <= "\U00016d6a"  # vowels of Kirat Rai, which are joined as these are
    )


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


# ------------------------------------------------------------------------------------------ as git writes it


def marked(
    base: str,
    ours: str,
    theirs: str,
    style: Style = "merge",
    names: tuple[str, str, str] = ("ours", "base", "theirs"),
) -> tuple[str, int]:
    """The merge of two texts by line as ``git merge-file -p`` prints it, and how many conflicts it shows.

    ``merge`` narrows a conflict to where ours and theirs differ, and takes conflicts with little between them together;
    ``diff3`` shows all of it, with the base; ``zdiff3`` shows the base too, less what both sides begin and end with.
    ``names``, in the order of the conflict: ours, base, theirs.
    """
    sides = was, mine, other = [split(text, "line") for text in (base, ours, theirs)]
    hunks = (_hunk(region, mine, other) for region in regions_of(was, mine, other, "line"))
    found = [hunk for hunk in hunks if hunk is not None]
    if style == "merge":
        found = _together([small for hunk in found for small in _narrowed(hunk, mine, other)], mine)
    elif style == "zdiff3":
        found = [_trimmed(hunk, mine, other) for hunk in found]
    out: list[str] = []
    at = conflicts = 0
    for hunk in found:
        if hunk.by in ("ours", "same"):
            continue
        out += mine[at : hunk.ours]
        at = hunk.ours_to
        if hunk.by == "theirs":
            out += other[hunk.theirs : hunk.theirs_to]
        else:
            out += _conflict(hunk, sides, names, style != "merge")
            conflicts += 1
    return "".join((*out, *mine[at:])), conflicts


class _Hunk(NamedTuple):
    """Whose lines are printed; of both, as a conflict."""

    by: Literal["ours", "theirs", "both", "same"]
    start: int
    stop: int
    ours: int
    ours_to: int
    theirs: int
    theirs_to: int


def _hunk(region: Region, ours: Sequence[str], theirs: Sequence[str]) -> _Hunk | None:
    """What git makes of a region; nothing where nobody changed it, or both did one and the same."""
    mine, other = region.ours_did, region.theirs_did
    if len(mine) == len(other) == 1 and mine[0][:2] == other[0][:2]:
        if ours[region.ours : region.ours_to] == theirs[region.theirs : region.theirs_to]:
            return None
    if not mine and not other:
        return None
    return _Hunk("both" if mine and other else "ours" if mine else "theirs", *region[1:7])


def _narrowed(hunk: _Hunk, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[_Hunk]:
    """A conflict as what differs between ours and theirs."""
    _, start, stop, i, to_i, j, to_j = hunk
    if hunk.by != "both" or i == to_i or j == to_j:
        yield hunk
        return
    differ = _changes(Indexed(ours[i:to_i]), list(theirs[j:to_j]), "line")
    if not differ:
        yield hunk._replace(by="same")
    for x, to_x, y, to_y, _ in differ:
        yield _Hunk("both", start, stop, i + x, i + to_x, j + y, j + to_y)


def _together(found: Sequence[_Hunk], ours: Sequence[str]) -> list[_Hunk]:
    """Conflicts with at most three lines between them, or none with a letter or a digit, are one."""
    joined: list[_Hunk] = []
    for hunk in found:
        if joined and joined[-1].by == hunk.by == "both":
            between = ours[joined[-1].ours_to : hunk.ours]
            if len(between) <= 3 or not any(re.search("[A-Za-z0-9]", line) for line in between):
                hunk = joined.pop()._replace(ours_to=hunk.ours_to, theirs_to=hunk.theirs_to)
        joined.append(hunk)
    return joined


def _trimmed(hunk: _Hunk, ours: list[str], theirs: list[str]) -> _Hunk:
    """A conflict without the lines that both sides begin and end with."""
    if hunk.by != "both":
        return hunk
    i, to_i, j, to_j = trimmed(ours, hunk.ours, hunk.ours_to, theirs, hunk.theirs, hunk.theirs_to)
    return hunk._replace(ours=i, ours_to=to_i, theirs=j, theirs_to=to_j)


def _conflict(
    hunk: _Hunk, sides: Sequence[Sequence[str]], names: tuple[str, str, str], with_base: bool
) -> Iterator[str]:
    """A conflict between its markers, which end as the lines around it do."""
    was, mine, other = sides
    end = _line_end(hunk, sides)
    parts = [("<<<<<<< ", names[0], mine[hunk.ours : hunk.ours_to])]
    if with_base:
        parts.append(("||||||| ", names[1], was[hunk.start : hunk.stop]))
    parts.append(("=======", "", other[hunk.theirs : hunk.theirs_to]))
    for marker, name, lines in parts:
        yield f"{marker}{name}{end}"
        yield from (line if line.endswith("\n") else line + end for line in lines)
    yield f">>>>>>> {names[2]}{end}"


def _line_end(hunk: _Hunk, sides: Sequence[Sequence[str]]) -> str:
    """CRLF where the base's first line ends so, and the line before the hunk on either side, if there is one."""
    was, mine, other = (_crlf(lines, max(at - 1, 0)) for lines, at in zip(sides, (0, hunk.ours, hunk.theirs)))
    return "\r\n" if was and mine is not False and other is not False else "\n"


def _crlf(lines: Sequence[str], at: int) -> bool | None:
    """Whether a line, or the one before if it has no end, ends in CRLF; ``None`` where there is none."""
    if lines and not lines[at].endswith("\n"):
        at -= 1
    return lines[at].endswith("\r\n") if 0 <= at < len(lines) else None
