"""The command line: ``mergecore merge BASE OURS THEIRS``, for files of JSON or of text; and, by name, the commands of
the extra ``sync``, which stand in ``sync.commands``.

All effects are here: files, the two output streams, the exit code. Stands on top: imports the package's public face,
``explain``, ``jsontext`` and helpers.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import operator
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Any, TextIO, TypeAlias

import msgspec

from . import UNSET, Candidate, Conflict, Merged, MergeError, Timestamp, Verdict, merge
from .clock import to_timestamp
from .explain import brief, place, printable, render
from .jsontext import NotJSON, Style, builtins, read, respelled, to_text, unspelled, write
from .paths import Path, format_path
from .records import fields_of, unknown_keys
from .texts import marked
from .values import equal

__all__ = ["SYNC", "main", "put_out", "say"]

SYNC = {
    "demo": "see three devices and a super node edit, clash, synchronize and agree",
    "serve": "serve a database to nodes and to thin clients, over HTTP",
    "node": "the nodes that a database is served to: add, allow, revoke, retire; and this one, when restored",
    "sync": "synchronize a database with a super node, or with another database",
    "status": "what there is in a database, in numbers",
    "nodes": "the nodes that a database has met, or expects",
    "inbox": "what waits for a person: open conflicts, and values that lost",
    "resolve": "settle open conflicts and values that lost, one after the other",
    "purge": "wipe deleted records for good that every node has acknowledged",
    "insert": "new records, of JSON lines",
    "edit": "write some fields of a record",
    "delete": "delete a record",
    "restore": "take a deletion back",
    "get": "one record, as JSON",
    "all": "the records of a model",
}
"""The commands of the extra ``sync``, and what they are for."""
_EXTRA = {"httpx", "rich", "sqlalchemy", "starlette", "uvicorn"}


class _Refused(Exception):
    """Where, what is wrong, and what to do: the one line that the user gets."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns 0 (clean), 1 (written, with open conflicts) or 2 (an error, nothing written).

    As of any ``argparse`` command, ``--help`` and usage errors leave by ``SystemExit``.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    try:
        if given and given[0] in SYNC:
            return _with_extra(given)
        asked = _parser().parse_args(given)
        return _merge_texts(asked) if asked.format == "text" else _merge(asked)
    except (_Refused, MergeError) as error:
        say(f"mergecore: {printable(str(error))}")
        return 2
    except RecursionError:  # values.MAX_DEPTH, but on a stack that was deep already
        say("mergecore: the files nest too deeply for Python's stack; make them flatter")
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough
        return 2
    except KeyboardInterrupt:
        return 130  # as shells say it


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mergecore", description="Merges records, and synchronizes them.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('mergecore')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    command = commands.add_parser(
        "merge",
        help="merge two versions of a file that started from the same one",
        description="Merges OURS and THEIRS, which both started from BASE. Conflicts are reported on standard error; "
        "of JSON, the output shows one candidate of each; of text, it has them between markers, as git's has.",
        epilog="Exit codes: 0 no conflicts, 1 conflicts, 2 an error (and nothing is written). In a JSON report, what "
        "is absent has no key, and null is null. A time is an ISO 8601 date-time with a zone, or epoch milliseconds.",
    )
    for name in ("base", "ours", "theirs"):
        command.add_argument(
            name, metavar=name.upper(), help=f"a file{'; empty if there is no common ancestor' * (name == 'base')}"
        )
    command.add_argument(
        "-o", "--output", metavar="FILE", help="write here, all at once, instead of to standard output"
    )
    command.add_argument("--format", choices=("json", "text"), default="json", help="what the files are (json)")
    command.add_argument(
        "--style", choices=("merge", "diff3", "zdiff3"), help="of text: the markers of a conflict, as in git (merge)"
    )
    command.add_argument("--model", metavar="MODULE:CLASS", help="the Struct, dataclass or TypedDict of the records")
    command.add_argument("--at-ours", metavar="TIME", help="when ours was written; the later side wins")
    command.add_argument("--at-theirs", metavar="TIME", help="when theirs was written")
    command.add_argument("--report", choices=("text", "json"), default="text", help="the form of what is reported")
    command.add_argument("--explain", action="store_true", help="report how each two-sided change was decided, too")
    for name, what in SYNC.items():
        commands.add_parser(name, help=what)  # so that they are listed: they have a parser of their own
    return parser


def _with_extra(argv: Sequence[str]) -> int:
    try:
        from .sync.commands import run  # here: nothing else needs the extra

        return run(argv)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise _Refused(f"{argv[0]}: needs {error.name}, which is not there: pip install 'mergecore[sync]'") from error


def _merge(asked: argparse.Namespace) -> int:
    if asked.style:
        raise _Refused("--style: means nothing without --format text; JSON is written without markers")
    at = _times(asked.at_ours, asked.at_theirs)
    model = _model(asked.model)
    files = asked.base, asked.ours, asked.theirs
    documents, (_, style, _) = zip(_read(asked.base, base=True), _read(asked.ours), _read(asked.theirs))
    sides = documents if model is None else [_record(d, model, file) for d, file in zip(documents, files)]
    base, ours, theirs = sides
    merged = merge(base, ours, theirs, model, at=at)
    value = merged.value if model is None else _document(merged.value, model, sides, documents, at)
    report = (_json_report if asked.report == "json" else _text_report)(merged, asked.explain)
    _write(write(value, style), asked.output)
    say(report)
    return 1 if merged.conflicts else 0


def _merge_texts(asked: argparse.Namespace) -> int:
    """As ``git merge-file -p`` does, byte for byte, of what it takes for text."""
    for option in ("model", "at_ours", "at_theirs", "explain"):
        if getattr(asked, option):
            raise _Refused(f"--{option.replace('_', '-')}: means nothing with --format text; leave one of the two out")
    if asked.report != "text":
        raise _Refused("--report json: means nothing with --format text; the conflicts are in the output")
    names = asked.ours, asked.base, asked.theirs
    ours, base, theirs = map(_read_text, names)
    merged, conflicts = marked(base, ours, theirs, asked.style or "merge", names)
    _write(merged.encode("utf-8", "surrogateescape"), asked.output)
    if conflicts:
        say(f"{'1 conflict' if conflicts == 1 else f'{conflicts} conflicts'}, between markers in the output")
    return 1 if conflicts else 0


# ------------------------------------------------------------------------------------------ what is handed in


_Times: TypeAlias = tuple[Timestamp, Timestamp] | None


def _times(ours: str | None, theirs: str | None) -> _Times:
    if ours is None and theirs is None:
        return None
    if ours is None or theirs is None:
        given, missing = ("--at-theirs", "--at-ours") if ours is None else ("--at-ours", "--at-theirs")
        raise _Refused(f"{given}: means nothing without {missing}; give both, or neither")
    return _time("--at-ours", ours), _time("--at-theirs", theirs)


def _time(option: str, text: str) -> Timestamp:
    try:
        return to_timestamp(int(text) if text.isascii() and text.isdigit() else datetime.fromisoformat(text))
    except ValueError:
        raise _Refused(
            f"{option}: {text!r} is no date, time and zone of the years 1970 to 9999; give ISO 8601, such as "
            "2025-01-31T12:00:00Z, or epoch milliseconds"
        ) from None


def _model(name: str | None) -> Any:
    if name is None:
        return None
    if "" not in sys.path:  # the current directory, where a console script does not look
        sys.path.insert(0, "")
    module, _, attribute = name.partition(":")
    try:
        model = operator.attrgetter(attribute)(importlib.import_module(module))
        known = fields_of(model)
    except (Exception, SystemExit) as error:  # importing runs whatever the module says
        why = f"{type(error).__name__}: {error}"
        raise _Refused(f"--model {name}: cannot be imported ({why}); give MODULE:CLASS, as in models:Order") from error
    if known is None:
        raise _Refused(f"--model {name}: has no declared fields; give a Struct, a dataclass or a TypedDict")
    return model


def _read(file: str, base: bool = False) -> tuple[Any, Style]:
    data = _bytes(file, "JSON")
    try:
        return (UNSET, Style()) if base and not data else read(data)  # git's way to say that there is no base
    except NotJSON as error:
        raise _Refused(f"{file}: {error}") from error


def _read_text(file: str) -> str:
    data = _bytes(file, "text")
    if b"\0" in data[:8000]:  # git's test
        raise _Refused(f"{file}: holds zero bytes, so it is no text (or is UTF-16); give a file of text")
    return data.decode("utf-8", "surrogateescape")  # other bytes come through as they are


def _bytes(file: str, what: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise _Refused(f"{file}: cannot be read ({error.strerror}); give a file of {what}") from error


def _record(document: Any, model: Any, file: str) -> Any:
    if document is UNSET:
        return document
    try:
        record = _converted(document, model)
    except Exception as error:  # the model's own code runs here
        raise _Refused(f"{file}: is no {model.__name__} ({error}); correct the file or the model") from error
    for path in unknown_keys(record, document):
        raise _Refused(
            f"{file}: {place(path)} is not in {model.__name__} and would get lost; add it, or merge without --model"
        )
    return record


def _converted(document: Any, model: Any) -> Any:
    return msgspec.convert(unspelled(document), model, str_keys=True)


# ------------------------------------------------------------------------------------------ what is written


def _document(record: Any, model: Any, sides: Sequence[Any], documents: Sequence[Any], at: _Times) -> Any:
    """A merged record as JSON, in the words of the files wherever that reads back as the same record."""
    base, ours, theirs = documents
    sources = [(sides[i], documents[i]) for i in (1, 2, 0) if documents[i] is not UNSET]
    with contextlib.suppress(Exception):  # merged without their types, the files may make no record; mostly they do
        plain = merge(base, ours, theirs, at=at).value
        sources.insert(0, (_converted(plain, model), plain))
    value = builtins(record)
    for written in (respelled(value, [(builtins(known), document) for known, document in sources]), value):
        with contextlib.suppress(Exception):  # the model's own code runs here too
            if equal(_converted(read(write(written, Style()))[0], model), record):
                return written
    raise _Refused(f"the merged record has no JSON that {model.__name__} would read back; merge without --model")


def _write(data: bytes, file: str | None) -> None:
    try:
        put_out(data) if file is None else _replace(file, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        where = file or "standard output"
        raise _Refused(f"{where}: cannot be written ({error.strerror}); give another file with -o") from error


def put_out(data: bytes) -> None:
    """On standard output, all of it. Raises ``OSError``."""
    if sys.stdout is None:  # closed by whoever started us
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    left = memoryview(data)
    try:
        while left:  # under PYTHONUNBUFFERED, a pipe takes what fits into it
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    except OSError:
        _drop(sys.stdout)
        raise


def _replace(file: str, data: bytes) -> None:
    """Writes a file all at once: whoever reads it finds what it was or what it is, whatever happens meanwhile."""
    if os.path.exists(file) and not os.path.isfile(file):  # a device or a pipe is not to be replaced
        with open(file, "wb") as stream:
            stream.write(data)
        return
    target = os.path.realpath(file)  # what a link points to, not the link
    if (there := os.path.exists(target)) and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    beside = os.path.join(os.path.dirname(target), f".mergecore-{secrets.token_hex(8)}")
    try:
        with open(beside, "xb") as stream:
            stream.write(data)
        if there:
            shutil.copymode(target, beside)
        os.replace(beside, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def say(text: str) -> None:
    """On standard error, if anybody listens there."""
    if text and sys.stderr is not None:
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    """What could not be written is not to be tried again, and complained about, when the process ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# ------------------------------------------------------------------------------------------ what is reported


def _text_report(merged: Merged[Any], explain: bool) -> str:
    parts = []
    if explain:
        parts.append(render(merged.explain(), merged.conflicts) or "Each change was made on one side only.")
    if merged.conflicts:
        parts.append(_table(merged.conflicts))
    return "\n\n".join(parts)


def _table(conflicts: Sequence[Conflict]) -> str:
    names = sorted(candidate.name for candidate in conflicts[0].candidates)
    rows = [("path", "base", *names, "reason")]
    for c in conflicts:
        values = {candidate.name: brief(candidate.value, 30) for candidate in c.candidates}
        reason = printable(f"{c.reason}: {c.detail}" if c.detail else c.reason)
        rows.append((place(c.path), brief(c.base, 30), *(values[name] for name in names), reason))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    count = "1 conflict" if len(conflicts) == 1 else f"{len(conflicts)} conflicts"
    return "\n".join([f"{count}; the output shows one candidate of each:", *lines])


def _json_report(merged: Merged[Any], explain: bool) -> str:
    report = {"conflicts": [_conflict(c) for c in merged.conflicts]}
    if explain:
        report["verdicts"] = [_verdict(v) for v in merged.explain()]
    return to_text(report, Style(indent="  ", escaped=True))  # plain ASCII, whatever standard error can encode


def _conflict(c: Conflict) -> dict[str, Any]:
    candidates = [_candidate(candidate) for candidate in c.candidates]
    return _where(c.path) | _known(
        base=c.base, candidates=candidates, strategy=c.strategy, reason=c.reason, detail=c.detail
    )


def _verdict(v: Verdict) -> dict[str, Any]:
    lost = [_candidate(candidate) for candidate in v.lost]
    return _where(v.path) | _known(decided_by=v.decided_by, base=v.base, value=v.value, lost=lost, reason=v.reason)


def _candidate(c: Candidate) -> dict[str, Any]:
    return _known(name=c.name, value=c.value, stamp=None if c.stamp is None else str(c.stamp), id=c.id)


def _where(path: Path) -> dict[str, Any]:
    return {"path": format_path(path), "steps": builtins(path)}


def _known(**parts: Any) -> dict[str, Any]:
    """What is absent has no key."""
    return {name: builtins(value) for name, value in parts.items() if value is not UNSET}
