"""The commands of the extra ``sync``: a node's database, from the command line.

Each opens the store, asks the node, and shows what came of it. Errors are those of the library, one line each.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from rich.text import Text

from mergecore import InvalidInput, RecordDeleted
from mergecore.cli import SYNC, say
from mergecore.explain import brief, place, printable
from mergecore.jsontext import builtins

from .errors import PeerError, StoreError
from .exchange import Report
from .node import Inbox, Node, Peer
from .opened import age, named, opened, pairs, served, unmade
from .patches import converted
from .shown import Working, as_json, date, show, table, text, value_at, who
from .supernode import conflict_json, lost_json

__all__ = ["run"]

Asked = argparse.Namespace


def run(argv: Sequence[str]) -> int:
    """Runs one command. Returns 0, or 1 where something is left to do. Raises ``MergeError``."""
    parser = _parser()
    asked, rest = parser.parse_known_args(argv)
    if len(rest) == 1 and not rest[0].startswith("-") and getattr(asked, "guid", "") is None:
        asked.guid = rest.pop()  # argparse looks for what may be left out before the first option alone
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    command: Callable[[Asked], int] = asked.run
    return command(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mergecore")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    end = (
        "Exit codes: 0 done, 1 something is left (sync: refused; resolve: open), 2 an error, 130 broken off; what is "
        "done stays."
    )

    def command(name: str, work: Callable[[Asked], int] | None = None, more: str = "") -> argparse.ArgumentParser:
        what = f"{SYNC[name][0].upper()}{SYNC[name][1:]}.{more}"
        made = commands.add_parser(name, help=SYNC[name], description=what, epilog=end)
        made.set_defaults(run=work)
        return made

    def part(of: Any, name: str, work: Callable[[Asked], int], what: str) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = of.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        made.set_defaults(run=work)
        return made

    made = command("demo", _demo)
    made.add_argument("--fast", action="store_true", help="without pauses")
    made.add_argument("--seed", type=int, help="decides who edits what (drawn)")

    made = command("serve", _serve, " Nodes and thin clients need a token: mergecore node add.")
    _database(made)
    made.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1: this machine alone)")
    made.add_argument("--port", type=int, default=8000, help="and at which port (8000); 0 takes a free one")
    made.add_argument("--name", help="of a new database: the super node's name (server)")

    nodes = command("node").add_subparsers(metavar="COMMAND", required=True)
    made = part(nodes, "add", _add, "expect a node, and print its token, which is shown this once")
    _rights(made)
    made.add_argument("--renew", action="store_true", help="of a known one: another token; what is not given stays")
    _rights(part(nodes, "allow", _allow, "change what a node may, and what is known of it; what is not given stays"))
    for name, what in (("revoke", "a node's token dies"), ("retire", "a node is not waited for any longer")):
        made = part(nodes, name, _end, what)
        _database(made)
        made.add_argument("node", metavar="NAME")
        made.set_defaults(what=name)
    _database(part(nodes, "restored", _restored, "this database is a restored backup, or a copy: it says so once"))

    made = command("sync", _sync)
    made.add_argument("peer", metavar="URL", help="a super node's, http(s)://...; or the database of another node")
    _database(made)
    made.add_argument("--name", help="of a new database: its node's, which the token was made for")
    made.add_argument("--token", default=os.environ.get("MERGECORE_TOKEN"), help="of the node (MERGECORE_TOKEN)")
    made.add_argument("--follow", action="store_true", help="go on, whenever there is something new, until Ctrl-C")
    _json(made)

    for name, work in (("status", _status), ("nodes", _nodes), ("inbox", _inbox)):
        made = command(name, work)
        _database(made)
        _json(made)

    made = command("resolve", _resolve, " It asks as git add -p does; each answer is stored at once.")
    _database(made)
    made.add_argument("guid", metavar="GUID", nargs="?", help="of one record (all)")
    _by(made)

    made = command("purge", _purge)
    _database(made)
    made.add_argument("--min-age", default="30d", metavar="TIME", help="deleted so long ago at least (30d)")
    made.add_argument("--yes", action="store_true", help="do not ask")
    _json(made)

    made = command("insert", _insert, " They come in on standard input; their GUIDs go out.")
    _database(made)
    made.add_argument("model", metavar="MODEL")
    made.add_argument("--name", help="of a new database: its node's")
    _by(made)

    made = command("edit", _edit)
    _database(made)
    made.add_argument("guid", metavar="GUID")
    made.add_argument("fields", metavar="FIELD=VALUE", nargs="+", help="a field, or a path; JSON, or else a text")
    _by(made)

    for name in ("delete", "restore"):
        made = command(name, _delete)
        _database(made)
        made.add_argument("guid", metavar="GUID")
        made.set_defaults(what=name)
        _by(made)

    made = command("get", _get)
    _database(made)
    made.add_argument("guid", metavar="GUID")
    made.add_argument("--json", action="store_true", help="on one line")

    made = command("all", _all)
    _database(made)
    made.add_argument("model", metavar="MODEL")
    made.add_argument("--deleted", action="store_true", help="those that are deleted")
    _json(made)
    return parser


def _database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("db", metavar="DB", help="the path of an SQLite file, or a postgresql:// URL")
    parser.add_argument(
        "--models", metavar="MODULE", default=os.environ.get("MERGECORE_MODELS") or None,
        help="a module or .py file: MODELS and POLICIES, or its record classes by name (MERGECORE_MODELS; schemaless)",
    )  # fmt: skip


def _rights(parser: argparse.ArgumentParser) -> None:
    _database(parser)
    parser.add_argument("node", metavar="NAME")
    parser.add_argument("--client-name", metavar="TEXT", help="what it is called for people")
    for what in ("read", "write"):
        told = f"a model that it may {what} (may be repeated; '*': all, as unless given; '': none)"
        parser.add_argument(f"--{what}", action="append", metavar="MODEL", help=told)
    parser.add_argument("--relay", action=argparse.BooleanOptionalAction, help="it may hand on what other nodes wrote")
    parser.add_argument("--field", action="append", metavar="NAME=VALUE", help="something of your own")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON; what is absent has no key, and null is null")


def _by(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", metavar="PERSON", help="who does it")


def _demo(asked: Asked) -> int:
    from .demo import run as play

    return play(asked.fast, asked.seed)


# ------------------------------------------------------------------------------------------ the super node


def _serve(asked: Asked) -> int:
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            node.app.state.close()  # the event streams, which would not end by themselves
            await super().shutdown(sockets)

    with (
        _listening(asked.host, asked.port) as listener,
        served(asked.db, asked.models, asked.name, make=True, shows=True) as node,
    ):
        host, port = listener.getsockname()[:2]
        at = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        show(f"{printable(node.name)} serves {named(asked.db)} at {at}; Ctrl-C ends it")
        if not node.nodes():
            say(f"it expects nobody yet: mergecore node add {named(asked.db)} NAME")
        config = uvicorn.Config(node.app, log_level="warning", timeout_graceful_shutdown=5)
        Server(config).run(sockets=[listener])
    return 0


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port < 1 << 16:  # getaddrinfo takes it modulo that
        raise InvalidInput(f"{port} is no port: give one of 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        why = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or error
        raise InvalidInput(f"{host}:{port}: cannot be listened at ({why}): give another --host or --port") from error


def _add(asked: Asked) -> int:
    with served(asked.db, asked.models, make=True) as node:
        token = node.add_node(asked.node, **_given(asked), renew=asked.renew)
        if sys.stdout is not None and sys.stdout.isatty():
            say(f"the token of {printable(asked.node)}, shown this once:")
        text(f"{token}\n")
    return 0


def _allow(asked: Asked) -> int:
    with served(asked.db, asked.models) as node:
        node.allow(asked.node, **_given(asked))
    return 0


def _given(asked: Asked) -> dict[str, Any]:
    """What of a node's rights and the rest was given."""
    given: dict[str, Any] = {"client_name": asked.client_name, "relay": asked.relay}
    given |= {"fields": pairs(asked.field) if asked.field else None}
    given = {name: value for name, value in given.items() if value is not None}
    for what, models in (("read", asked.read), ("write", asked.write)):
        if models is not None:
            given[what] = None if "*" in models else [model for model in models if model]
    return given


def _end(asked: Asked) -> int:
    with served(asked.db, asked.models) as node:
        (node.revoke if asked.what == "revoke" else node.retire)(asked.node)
    return 0


def _restored(asked: Asked) -> int:
    with opened(asked.db, asked.models) as node:
        node.restored()
    return 0


# ------------------------------------------------------------------------------------------ synchronizing


def _sync(asked: Asked) -> int:
    is_url = asked.peer.startswith(("http://", "https://"))
    if asked.follow and not is_url:
        raise InvalidInput(f"--follow: {asked.peer} is no URL; a super node's begins with http:// or https://")
    with contextlib.ExitStack() as stack:
        peer = asked.peer if is_url else stack.enter_context(_peer(asked.peer, asked.models))
        stack.enter_context(unmade(asked.db))
        node = stack.enter_context(opened(asked.db, asked.models, asked.name, make=True))
        with Working("synchronizing") as told:  # once before it follows, which waits for whom it cannot reach
            report = node.sync(peer, token=asked.token if is_url else None, progress=told)
        _report(report, asked)
        if asked.follow:
            for report in node.follow(asked.peer, token=asked.token, on_away=_away):
                if report.sent or report.received or report.refused or report.purged:
                    _report(report, asked)
    return 0 if report.clean else 1


def _peer(where: str, models: str | None) -> Node:
    try:
        return opened(where, models)
    except StoreError as error:
        raise StoreError(f"{error}; a URL begins with http:// or https://") from error


def _away(error: PeerError) -> None:
    say(printable(f"{error}; it is tried again, until Ctrl-C"))


def _report(report: Report, asked: Asked) -> None:
    if asked.json:
        as_json(report, lines=asked.follow)
        return
    show(*map(printable, str(report).splitlines()))


# ------------------------------------------------------------------------------------------ looking


def _status(asked: Asked) -> int:
    with opened(asked.db, asked.models) as node:
        found = node.status()
    if asked.json:
        as_json(found)
        return 0
    records = ", ".join(f"{model} {count}" for model, count in sorted(found["records"].items()))
    rows = {
        "name": found["name"], "position": str(found["position"]), "records": records or "none",
        "unsynchronized": str(found["unsynchronized"]), "open": str(found["open"]),
        "clock offset": f"{found['offset']:+} ms" if found["offset"] else "none", "nodes": str(found["peers"]),
    }  # fmt: skip
    show(*(Text.assemble((f"{name:16}", "bold"), printable(value)) for name, value in rows.items()))
    return 0


def _nodes(asked: Asked) -> int:
    with opened(asked.db, asked.models, check=False) as node:
        found = node.nodes()
    if asked.json:
        as_json(found)
        return 0
    rows = [
        (
            p.id, p.client_name, date(p.last_sync), str(p.position), str(p.acknowledged), str(p.behind), _may(p),
            "revoked" if p.revoked else "retired" if p.retired else "", brief(p.fields, 200) if p.fields else "",
        )
        for p in found
    ]  # fmt: skip
    names = ("node", "client", "last sync", "position", "acknowledged", "behind", "may", "state", "fields")
    table(names, rows) if rows else show("no nodes yet")
    return 0


def _may(peer: Peer) -> str:
    if peer.read is peer.write is None:
        return "all, relay" if peer.relay else "all"
    rights = (("read", peer.read), ("write", peer.write))
    said = [f"{what} {'all' if models is None else ' '.join(models) or 'nothing'}" for what, models in rights]
    return ", ".join(said + ["relay"] * peer.relay)


def _inbox(asked: Asked) -> int:
    with opened(asked.db, asked.models) as node:
        found = node.inbox()
    if asked.json:
        as_json([_item(item) for item in found])
        return 0
    rows = [row for item in found for row in _rows(item)]
    table(("model", "record", "path", "what", "values"), rows) if rows else show("nothing waits for you")
    return 0


def _item(item: Inbox) -> dict[str, Any]:
    conflicts, lost = [conflict_json(c) for c in item.conflicts], [lost_json(x) for x in item.lost]
    return {"guid": item.guid, "model": item.model, "conflicts": conflicts, "lost": lost}


def _rows(item: Inbox) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for c in item.conflicts:
        values = ", ".join(f"{x.name}: {value_at(c.path, x.value, 40)}" for x in c.candidates)
        rows.append((item.model, item.guid, place(c.path), c.reason, values))
    for x in item.lost:
        lost = f"{value_at(x.path, x.value, 40)} ({who(None, x.by, x.stamp)})"
        rows.append((item.model, item.guid, place(x.path), f"lost, {x.decided_by}", lost))
    return rows


# ------------------------------------------------------------------------------------------ deciding


def _resolve(asked: Asked) -> int:
    from .ask import Asker

    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        raise InvalidInput(
            "resolve: asks on a terminal, and this is none; see 'mergecore inbox --json', and answer with "
            "'mergecore edit', or node.resolve() in Python"
        )
    with opened(asked.db, asked.models, by=asked.by) as node:
        settled = Asker(node).ask(asked.guid)
    if not settled.answered and not settled.open:
        show("nothing waits for you")
        return 0
    left = f"{_count(settled.open, 'record')} still open" if settled.open else "nothing is left open"
    show(f"{_count(settled.answered, 'field')} settled; {left}")
    return 1 if settled.open else 0


def _purge(asked: Asked) -> int:
    min_age = age(asked.min_age)
    with opened(asked.db, asked.models) as node:
        if not asked.yes:
            if not (sys.stdin is not None and sys.stdin.isatty()):
                raise InvalidInput("purge: wipes records for good; say --yes, where nobody can be asked")
            print(
                f"Wipe for good what was deleted {printable(asked.min_age)} ago or earlier? [y/N] ",
                end="",
                flush=True,
                file=sys.stderr,
            )
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                say("nothing was wiped")
                return 1
        with Working("wiping"):
            gone = node.purge(min_age)
        awaited, seen = node.awaited(min_age), {peer.id: peer.last_sync for peer in node.nodes()}
    if asked.json:
        as_json(gone)
        return 0
    show(f"{_count(len(gone), 'record')} wiped")
    for id, count in awaited.items():
        told = f"{_count(count, 'deleted record')} {'waits' if count == 1 else 'wait'} for {id}"
        show(printable(f"{told} (last seen {date(seen.get(id))}); who will not come any more: mergecore node retire"))
    return 0


# ------------------------------------------------------------------------------------------ writing


def _insert(asked: Asked) -> int:
    with opened(asked.db, asked.models, asked.name, make=True, by=asked.by) as node:
        if sys.stdin is not None and sys.stdin.isatty():
            say("one record on a line, as a JSON object; Ctrl-D ends")
        records = _lines(node.models.get(node.known_model(asked.model)))
        with Working("inserting") as told:
            for start in range(0, len(records), 500):
                for guid in node.insert_all(records[start : start + 500], asked.model):
                    text(f"{guid}\n")
                told(start, len(records))
    return 0


def _lines(model: Any) -> list[Any]:
    """The records on standard input: all of them are read before the first is written. Raises ``InvalidInput``."""
    found = []
    for n, line in enumerate(sys.stdin.buffer if sys.stdin is not None else (), 1):
        if line.strip():
            try:
                plain = msgspec.json.decode(line, type=dict[str, Any])
                found.append(plain if model is None else converted(plain, model))
            except (msgspec.MsgspecError, TypeError, ValueError) as error:
                raise InvalidInput(f"line {n}: is no record ({error}); nothing was written") from error
    return found


def _edit(asked: Asked) -> int:
    with opened(asked.db, asked.models, by=asked.by) as node:
        try:
            node.edit(asked.guid, pairs(asked.fields))
        except RecordDeleted as error:
            raise _deleted(asked.guid) from error
    return 0


def _deleted(guid: str) -> RecordDeleted:
    return RecordDeleted(f"{guid} is deleted; 'mergecore restore' takes that back")


def _delete(asked: Asked) -> int:
    with opened(asked.db, asked.models, by=asked.by) as node:
        (node.delete if asked.what == "delete" else node.restore)(asked.guid)
    return 0


def _get(asked: Asked) -> int:
    with opened(asked.db, asked.models) as node:
        record = node.get(asked.guid)
        if record is None:
            node.version(asked.guid)  # or else there is none
            raise _deleted(asked.guid)
    as_json(record, lines=asked.json)
    return 0


def _all(asked: Asked) -> int:
    with opened(asked.db, asked.models) as node:
        found, there = node.all(asked.model, deleted=asked.deleted), node.status()["records"]
    if there and asked.model not in there:
        say(f"there never was a record {printable(asked.model)}; there are {printable(', '.join(there))}")
    if asked.json:
        as_json([{"guid": guid, "record": record} for guid, record in found.items()])
        return 0
    plain = {guid: builtins(record) for guid, record in found.items()}
    names = list(dict.fromkeys(name for record in plain.values() for name in record))
    rows = [
        (guid, *(brief(record[name], 40) if name in record else "" for name in names)) for guid, record in plain.items()
    ]
    table(("guid", *map(printable, names)), rows) if rows else show("no records")
    return 0


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
