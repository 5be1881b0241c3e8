"""A store in SQL: SQLite, or PostgreSQL where one file is not enough.

Nothing here knows what is in a version but what it shows.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy import event, exc, pool
from sqlalchemy.dialects import postgresql, sqlite

from mergecore import InvalidInput, Version

from .columns import Projection, projected, projections, utc
from .errors import StoreCorrupt, StoreError, StoreFull, StoreLocked, StoreReadOnly, StoreTooNew
from .store import ALL, Base, NodeState, PeerRow, Row

__all__ = ["FORMAT", "SQLStore", "SQLTransaction"]

FORMAT = 1
"""Of the tables. A store of a higher one is refused."""

_META = sa.MetaData()
_NODE = sa.Table(
    "mergecore_node", _META, sa.Column("id", sa.Integer, primary_key=True), sa.Column("format", sa.Integer),
    sa.Column("state", sa.LargeBinary),
)  # fmt: skip
_RECORDS = sa.Table(
    "mergecore_records", _META, sa.Column("guid", sa.Text, primary_key=True), sa.Column("model", sa.Text),
    sa.Column("position", sa.BigInteger, unique=True), sa.Column("tombstone", sa.LargeBinary),
    sa.Column("purged", sa.LargeBinary), sa.Index("mergecore_newest", "model", "position"),
)  # fmt: skip
"""Every record that was ever here, in the receive order; what is left of those that were purged."""
_PEERS = sa.Table(
    "mergecore_peers", _META, sa.Column("id", sa.Text, primary_key=True), sa.Column("client_name", sa.Text),
    sa.Column("last_sync", sa.DateTime), sa.Column("after", sa.BigInteger), sa.Column("acknowledged", sa.BigInteger),
    sa.Column("fields", sa.JSON), sa.Column("revoked", sa.Boolean), sa.Column("retired", sa.Boolean),
    sa.Column("token", sa.LargeBinary), sa.Column("row", sa.LargeBinary),
)  # fmt: skip
_BASES = sa.Table(
    "mergecore_bases", _META, sa.Column("tag", sa.Text, primary_key=True), sa.Column("guid", sa.Text, primary_key=True),
    sa.Column("data", sa.LargeBinary), sa.Column("expires", sa.BigInteger),
)  # fmt: skip
_ANSWERS = sa.Table(
    "mergecore_answers", _META, sa.Column("key", sa.Text, primary_key=True), sa.Column("answer", sa.LargeBinary),
    sa.Column("expires", sa.BigInteger),
)  # fmt: skip

_ONE_WRITER = sa.select(sa.func.pg_advisory_xact_lock(0x6D65726765))
"""In PostgreSQL: held until the transaction ends, so that positions are given in the order of commits."""

_NAME = re.compile(r"(?!mergecore_|sqlite_|pg_)[A-Za-z_][A-Za-z0-9_.-]{0,59}", re.IGNORECASE)
_AT_ONCE = 500
"""So many GUIDs are asked for in one statement."""


class SQLStore:
    """A store in a database that SQLAlchemy reaches: a file of SQLite, or a ``postgresql://`` URL.

    ``where`` may be ``:memory:``. ``models`` are the record classes by the names of their tables; of other names, the
    records are documents without a schema. A table is made when it is first needed, and a field that a model gained
    becomes a column. ``timeout``: how long to wait for others that write, in seconds. Raises ``StoreError``.
    """

    def __init__(self, where: str | os.PathLike[str], models: Mapping[str, Any], timeout: float = 10.0) -> None:
        self.where = os.fspath(where)
        self.models = dict(models)
        self.tables: dict[str, tuple[sa.Table, list[Projection] | None]] = {}
        self.statements: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._timeout = timeout
        self._lock = threading.RLock()  # of a store in memory
        for name, model in self.models.items():
            _checked_name(name)
            projections(model)
        with _named(self.where):
            self.engine = self._engine()
            self._open()

    def close(self) -> None:
        """Gives back all connections."""
        self.engine.dispose()

    @contextmanager
    def transaction(self, write: bool = True) -> Iterator[SQLTransaction]:
        """All of it is stored, or nothing. Writing ones run one at a time."""
        with self._alone(), _named(self.where), self.engine.connect() as connection:
            on_postgres = connection.dialect.name == "postgresql"
            whole = {"isolation_level": "REPEATABLE READ"} if on_postgres and not write else {}  # of one moment
            connection.execution_options(mergecore_write=write, **whole)
            with connection.begin():
                if write and on_postgres:
                    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(self._timeout * 1000)}")
                    connection.execute(_ONE_WRITER)
                made = SQLTransaction(self, connection)
                yield made
                made.flush()
        self.tables.update(made.made())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.where != ":memory:":
            yield
            return
        with self._lock:
            yield

    def _engine(self) -> sa.Engine:
        if self.where.startswith(("postgresql:", "postgres:")):
            url = sa.make_url(self.where).set(drivername="postgresql+psycopg")
            try:
                return sa.create_engine(url, json_serializer=_json, pool_pre_ping=True)
            except ImportError:
                raise StoreError("PostgreSQL needs psycopg: pip install 'mergecore[postgres]'") from None
        if "://" in self.where:
            raise StoreError(f"{self.where.partition(':')[0]}: give the path of a file, or a postgresql:// URL")
        memory = self.where == ":memory:"
        engine = sa.create_engine(
            sa.URL.create("sqlite+pysqlite", database=self.where), json_serializer=_json,
            connect_args={"timeout": self._timeout, "check_same_thread": False},
            **({"poolclass": pool.StaticPool} if memory else {"pool_size": 50}),
        )  # fmt: skip

        @event.listens_for(engine, "connect")
        def connected(connection: Any, _: Any) -> None:
            connection.isolation_level = None  # it begins no transactions of its own
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # what was sent must not be forgotten: stamps count on it

        @event.listens_for(engine, "begin")
        def begun(connection: sa.Connection) -> None:
            write = connection.get_execution_options().get("mergecore_write", True)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

        return engine

    def _open(self) -> None:
        with self.engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(_ONE_WRITER)
            there = sa.inspect(connection).get_table_names()
            if _NODE.name in there:
                found = connection.execute(sa.select(_NODE.c.format)).scalar()
                if found is not None and found > FORMAT:
                    raise StoreTooNew(
                        f"{self.where} has format {found}, and this is written for {FORMAT}: update mergecore"
                    )
            if not {t.name for t in _META.sorted_tables} <= set(there):
                _META.create_all(connection)


class SQLTransaction:
    """One transaction of an ``SQLStore``."""

    def __init__(self, store: SQLStore, connection: sa.Connection) -> None:
        self._store, self._connection = store, connection
        self._insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        self._made: dict[str, tuple[sa.Table, list[Projection] | None]] = {}
        row = connection.execute(sa.select(_NODE.c.state)).one_or_none()
        self.state: NodeState | None = None if row is None else _unpacked(row.state, NodeState, "the node itself")
        self._before = None if row is None else row.state

    def flush(self) -> None:
        """Stores the node's own state, if it has changed."""
        if self.state is None or (data := msgspec.msgpack.encode(self.state)) == self._before:
            return
        row = {"id": 1, "format": FORMAT, "state": data}
        self._upsert(_NODE, [row])

    # ---- records

    def rows(self, guids: Iterable[str]) -> dict[str, Row]:
        found: dict[str, Row] = {}
        wanted = list(dict.fromkeys(guids))
        for start in range(0, len(wanted), _AT_ONCE):
            chosen = sa.select(_RECORDS).where(_RECORDS.c.guid.in_(wanted[start : start + _AT_ONCE]))
            found |= {row.guid: row for row in self._whole(self._connection.execute(chosen).all())}
        return found

    def fill(self, row: Row, version: Version[Any], data: bytes | None = None) -> None:
        shown = self._table(row.model)[1]
        if shown is None:
            todo = "say which, or its columns would show what is no longer so"
            raise StoreError(f"{self._store.where} has {row.model!r} as records of a model: {todo} (models=, --models)")
        row.data = version.encode() if data is None else data
        row.columns = projected(shown, version.record)
        row.columns |= {
            "is_deleted": version.deleted, "_conflicts": len(version.conflicts), "_lost": len(version.lost),
            "date_created": utc(version.created.datetime), "date_updated": utc(version.updated.datetime),
        }  # fmt: skip

    def save(self, rows: Sequence[Row]) -> None:
        for row in rows:
            row.position = self._next()
        self._index(rows)
        self.show(rows)

    def show(self, rows: Sequence[Row]) -> None:
        by_model: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            assert row.columns is not None
            known = {
                "guid": row.guid, "is_synchronized": row.synchronized, "_version": row.data, "_shared": row.shared,
                "_handed": row.handed, "_origin": row.origin,
            }  # fmt: skip
            by_model.setdefault(row.model, []).append(row.columns | known)
        for model, shown in by_model.items():
            self._upsert(self._table(model)[0], shown)

    def mark(self, rows: Sequence[Row]) -> None:
        by_model: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            known = {"_guid": row.guid, "is_synchronized": row.synchronized, "_shared": row.shared}
            by_model.setdefault(row.model, []).append({**known, "_handed": row.handed})
        for model, known_of in by_model.items():
            table = self._table(model)[0]
            self._connection.execute(sa.update(table).where(table.c.guid == sa.bindparam("_guid")), known_of)

    def touch(self, guids: Sequence[str]) -> None:
        moved = [{"_guid": guid, "position": self._next()} for guid in guids]
        if moved:
            self._connection.execute(sa.update(_RECORDS).where(_RECORDS.c.guid == sa.bindparam("_guid")), moved)

    def purge(self, rows: Sequence[Row]) -> None:
        by_model: dict[str, list[str]] = {}
        for row in rows:
            row.position = self._next()
            by_model.setdefault(row.model, []).append(row.guid)
        self._index(rows)
        for model, guids in by_model.items():
            table = self._table(model)[0]
            for start in range(0, len(guids), _AT_ONCE):
                gone = table.c.guid.in_(guids[start : start + _AT_ONCE])
                self._connection.execute(sa.delete(table).where(gone))

    def changes(self, after: int, until: int | None, limit: int, models: Sequence[str] | None) -> list[Row]:
        chosen = self._after(sa.select(_RECORDS), after, until, models)
        return self._whole(self._connection.execute(chosen.order_by(_RECORDS.c.position).limit(limit)).all())

    def count(self, after: int, models: Sequence[str] | None) -> int:
        chosen = self._after(sa.select(sa.func.count()).select_from(_RECORDS), after, None, models)
        return int(self._connection.execute(chosen).scalar_one())

    def count_by_model(self) -> dict[str, int]:
        grouped = sa.select(_RECORDS.c.model, sa.func.count()).where(_RECORDS.c.purged.is_(None))
        return {row[0]: row[1] for row in self._connection.execute(grouped.group_by(_RECORDS.c.model))}

    def newest(self) -> dict[str, int]:
        grouped = sa.select(_RECORDS.c.model, sa.func.max(_RECORDS.c.position)).group_by(_RECORDS.c.model)
        return {row[0]: row[1] for row in self._connection.execute(grouped)}

    def all(self, model: str, deleted: bool | None = None, after: str = "") -> Iterator[Row]:
        if not self._exists(model):
            return
        table, guid = self._table(model)[0], after
        while True:
            chosen = sa.select(table.c.guid).where(table.c.guid > guid).order_by(table.c.guid).limit(_AT_ONCE)
            if deleted is not None:
                chosen = chosen.where(table.c.is_deleted == deleted)
            guids = self._connection.execute(chosen).scalars().all()
            if not guids:
                return
            guid = guids[-1]
            yield from self.rows(guids).values()

    def find(self, what: str, until: dt.datetime | None = None) -> list[str]:
        found: list[str] = []
        for model in self._connection.execute(sa.select(_RECORDS.c.model).distinct()).scalars().all():
            if not self._exists(model):
                continue
            table = self._table(model)[0]
            if what == "open":
                wanted: Any = sa.or_(table.c._conflicts > 0, table.c._lost > 0)
            elif what == "deleted":
                wanted = sa.and_(table.c.is_deleted, table.c.date_updated <= until)
            else:
                wanted = table.c.is_synchronized.is_(False)
            chosen = sa.select(table.c.guid).where(wanted).order_by(table.c.guid)
            found += self._connection.execute(chosen).scalars().all()
        return found

    def fit(self, model: str) -> bool:
        """Brings the table of a model up to date. Whether its rows must be shown anew."""
        made, new = self._made_table(model)
        self._made[model] = made
        return new

    # ---- other nodes

    def peers(self) -> list[PeerRow]:
        rows = self._connection.execute(sa.select(_PEERS.c.row).order_by(_PEERS.c.id)).scalars()
        return [_unpacked(row, PeerRow, "a peer") for row in rows]

    def peer(self, id: str) -> PeerRow | None:
        row = self._connection.execute(sa.select(_PEERS.c.row).where(_PEERS.c.id == id)).scalar()
        return None if row is None else _unpacked(row, PeerRow, f"the peer {id!r}")

    def peer_of(self, token: bytes) -> PeerRow | None:
        row = self._connection.execute(sa.select(_PEERS.c.row).where(_PEERS.c.token == token)).scalar()
        return None if row is None else _unpacked(row, PeerRow, "a peer")

    def save_peer(self, peer: PeerRow) -> None:
        date = utc(dt.datetime.fromtimestamp(peer.last_sync / 1000, dt.UTC)) if peer.last_sync else None
        names = ("id", "client_name", "after", "acknowledged", "fields", "revoked", "retired", "token")
        row = {**{name: getattr(peer, name) for name in names}, "last_sync": date}
        self._upsert(_PEERS, [{**row, "row": msgspec.msgpack.encode(peer)}])

    # ---- clients that know nothing of stamps

    def base(self, tag: str, guid: str, now: int) -> Base | None:
        chosen = sa.select(_BASES).where(_BASES.c.tag == tag, _BASES.c.guid == guid, _BASES.c.expires > now)
        row = self._connection.execute(chosen).one_or_none()
        return None if row is None else Base(*row)

    def keep_bases(self, bases: Sequence[Base], now: int) -> None:
        self._connection.execute(sa.delete(_BASES).where(_BASES.c.expires <= now))
        self._upsert(_BASES, [msgspec.structs.asdict(base) for base in bases])

    def answer(self, key: str, now: int) -> bytes | None:
        chosen = sa.select(_ANSWERS.c.answer).where(_ANSWERS.c.key == key, _ANSWERS.c.expires > now)
        return self._connection.execute(chosen).scalar()

    def keep_answer(self, key: str, answer: bytes, now: int, expires: int) -> None:
        self._connection.execute(sa.delete(_ANSWERS).where(_ANSWERS.c.expires <= now))
        self._upsert(_ANSWERS, [{"key": key, "answer": answer, "expires": expires}])

    # ---- what these are made of

    def _next(self) -> int:
        assert self.state is not None
        self.state.position += 1
        return self.state.position

    def _after(self, chosen: Any, after: int, until: int | None, models: Sequence[str] | None) -> Any:
        chosen = chosen.where(_RECORDS.c.position > after)
        chosen = chosen if until is None else chosen.where(_RECORDS.c.position <= until)
        return chosen if models is None else chosen.where(_RECORDS.c.model.in_(models))

    def _whole(self, index: Sequence[Any]) -> list[Row]:
        """The rows of index entries, in their order."""
        by_model: dict[str, list[str]] = {}
        for entry in index:
            if entry.purged is None:
                by_model.setdefault(entry.model, []).append(entry.guid)
        held: dict[str, Any] = {}
        for model, guids in by_model.items():
            table = self._table(model)[0]
            known = (table.c.is_synchronized, table.c._shared, table.c._handed, table.c._origin)
            columns = (table.c.guid, table.c._version, *known)
            for start in range(0, len(guids), _AT_ONCE):
                chosen = sa.select(*columns).where(table.c.guid.in_(guids[start : start + _AT_ONCE]))
                held |= {row[0]: row for row in self._connection.execute(chosen)}
        found = []
        for entry in index:
            if entry.purged is not None:
                found.append(
                    Row(entry.guid, entry.model, entry.tombstone, entry.position, True, ALL, None, entry.purged)
                )
            elif (row := held.get(entry.guid)) is None or row[1] is None:
                raise StoreCorrupt(f"{entry.guid} of {entry.model!r} is in the index, and its version is not there")
            else:
                _, data, synchronized, shared, handed, origin = row
                place = (entry.guid, entry.model, data, entry.position)
                found.append(Row(*place, bool(synchronized), shared, handed, origin=origin))
        return found

    def _index(self, rows: Sequence[Row]) -> None:
        entries = [
            {
                "guid": row.guid, "model": row.model, "position": row.position, "purged": row.purged,
                "tombstone": None if row.purged is None else row.data,
            }
            for row in rows
        ]  # fmt: skip
        self._upsert(_RECORDS, entries)

    def _upsert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        names = tuple(rows[0])
        statement = self._store.statements.get((table.name, names))
        if statement is None:  # slow to make
            made = self._insert(table)
            keys = [column.name for column in table.primary_key]
            told = {name: made.excluded[name] for name in names if name not in keys}
            statement = made.on_conflict_do_update(index_elements=keys, set_=told)
            self._store.statements[table.name, names] = statement
        self._connection.execute(statement, rows)

    # ---- tables of models

    def _exists(self, model: str) -> bool:
        known = model in self._made or model in self._store.tables
        return known or model in sa.inspect(self._connection).get_table_names()

    def _table(self, model: str) -> tuple[sa.Table, list[Projection] | None]:
        found = self._made.get(model) or self._store.tables.get(model)
        if found is None:
            found = self._made[model] = self._made_table(model)[0]
        return found

    def made(self) -> dict[str, tuple[sa.Table, list[Projection] | None]]:
        """The tables that this transaction made, or brought up to date."""
        return self._made

    def _made_table(self, model: str) -> tuple[tuple[sa.Table, list[Projection] | None], bool]:
        _checked_name(model)
        cls = self._store.models.get(model)
        shown = projections(cls)
        table = sa.Table(
            model, sa.MetaData(),
            sa.Column("guid", sa.Text, primary_key=True), sa.Column("date_created", sa.DateTime),
            sa.Column("date_updated", sa.DateTime), sa.Column("is_deleted", sa.Boolean),
            sa.Column("is_synchronized", sa.Boolean), *(sa.Column(p.name, p.type) for p in shown),
            sa.Column("_conflicts", sa.Integer), sa.Column("_lost", sa.Integer), sa.Column("_version", sa.LargeBinary),
            sa.Column("_shared", sa.LargeBinary), sa.Column("_handed", sa.LargeBinary), sa.Column("_origin", sa.Text),
        )  # fmt: skip
        inspector = sa.inspect(self._connection)
        names = inspector.get_table_names()
        if twin := next((name for name in names if name.lower() == model.lower() and name != model), None):
            raise InvalidInput(f"the model {model!r} and the table {twin!r} are one table to SQL: rename one")
        if model not in names:
            table.create(self._connection)
            return (table, shown), False
        there = {column["name"]: column["type"] for column in inspector.get_columns(model)}
        if "_version" not in there:
            raise InvalidInput(
                f"{self._store.where} has a table {model!r} of somebody else's: name the model otherwise"
            )
        if cls is None and "record" not in there:  # it was made for a model: without that, it can be read alone
            return (table, None), False
        document = [] if cls is None or "record" not in there else ["record"]
        new = [p for p in shown if p.name not in there or not _same_type(there[p.name], p.type)]
        quote = self._connection.dialect.identifier_preparer.quote
        # they are projections: nothing is in them that the version has not
        for name in [*(p.name for p in new if p.name in there), *(d for d in document if d not in table.columns)]:
            self._connection.exec_driver_sql(f"ALTER TABLE {quote(model)} DROP COLUMN {quote(name)}")
        for p in new:
            kind = p.type.compile(self._connection.dialect)
            self._connection.exec_driver_sql(f"ALTER TABLE {quote(model)} ADD COLUMN {quote(p.name)} {kind}")
        return (table, shown), bool(new)


def _checked_name(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        todo = "give up to 60 letters, digits, '_', '-' and '.', a letter first, and not mergecore_, sqlite_ or pg_"
        raise InvalidInput(f"{name!r:.200} cannot be the name of a model, which is a table's: {todo}")
    return name


def _same_type(one: Any, other: Any) -> bool:
    kinds = (sa.LargeBinary, sa.JSON, sa.Boolean, sa.DateTime, sa.Date, sa.Float, sa.Integer, sa.Text)
    return any(isinstance(one, kind) and isinstance(other, kind) for kind in kinds)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _unpacked(data: bytes, kind: Any, what: str) -> Any:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        raise StoreCorrupt(f"what the store has of {what} cannot be read: {error}") from None


_SQLITE = {
    sqlite3.SQLITE_FULL: (StoreFull, "there is no room left: make some, nothing was stored"),
    sqlite3.SQLITE_READONLY: (StoreReadOnly, "it may not be written: mend its permissions, nothing was stored"),
    sqlite3.SQLITE_BUSY: (StoreLocked, "somebody else has held it for too long: try again, nothing was stored"),
    sqlite3.SQLITE_LOCKED: (StoreLocked, "somebody else has held it for too long: try again, nothing was stored"),
    sqlite3.SQLITE_CORRUPT: (StoreCorrupt, "the file is damaged: restore a backup, and call restored()"),
    sqlite3.SQLITE_NOTADB: (StoreCorrupt, "the file is no database: give another path"),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "it cannot be opened: is the folder there, and may it be written?"),
}
_POSTGRES = {
    "53100": (StoreFull, "there is no room left: make some, nothing was stored"),
    "25006": (StoreReadOnly, "it may not be written: nothing was stored"),
    "55P03": (StoreLocked, "somebody else has held it for too long: try again, nothing was stored"),
}


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Tells what a database says by the store's own errors."""
    try:
        yield
    except exc.DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        known = _SQLITE.get(code & 0xFF) if code is not None else _POSTGRES.get(getattr(error.orig, "sqlstate", ""))
        kind, todo = known or (StoreError, "nothing was stored")
        raise kind(f"{_without_password(where)}: {error.orig}: {todo}") from error
    except exc.SQLAlchemyError as error:
        raise StoreError(f"{_without_password(where)}: {error}") from error


def _without_password(where: str) -> str:
    return sa.make_url(where).render_as_string() if "://" in where else where
