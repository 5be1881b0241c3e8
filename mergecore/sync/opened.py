"""What a command is told on the command line, and what it opens by that: models, and the store of a node."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib
import importlib.util
import os
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from mergecore import InvalidInput, MergeError, Policy
from mergecore.cli import say
from mergecore.explain import printable
from mergecore.records import fields_of

from .errors import StoreError
from .node import Node
from .sql import SQLStore
from .supernode import SuperNode

__all__ = ["age", "models_of", "named", "opened", "pairs", "served", "unmade"]


# ------------------------------------------------------------------------------------------ words


def pairs(texts: Iterable[str]) -> dict[str, Any]:
    """``NAME=VALUE`` each: the value is JSON, or else a text. Raises ``InvalidInput``."""
    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise InvalidInput(f"{text!r}: give NAME=VALUE, such as title=milk, qty=2 or 'tags=[\"a\"]'")
        try:
            found[name] = msgspec.json.decode(value)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            found[name] = value
    return found


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str) -> dt.timedelta:
    """``30d``, ``12h``, ``0s``: a time, in seconds, minutes, hours, days or weeks. Raises ``InvalidInput``."""
    found = re.fullmatch(r"(\d{1,8})([smhdw])", text, re.ASCII)
    if found and (made := dt.timedelta(**{_UNITS[found[2]]: int(found[1])})) <= dt.timedelta(days=36500):
        return made
    raise InvalidInput(f"{text!r} is no time of up to a hundred years: give one such as 30d, 12h or 0s")


# ------------------------------------------------------------------------------------------ models


def models_of(name: str | None) -> tuple[dict[str, Any], dict[str, Policy]]:
    """The models and the policies of a module, or of a file of Python. Raises ``InvalidInput``.

    They are what its ``MODELS`` and its ``POLICIES`` say; without ``MODELS``, the Structs and dataclasses that it
    defines, by their names in lower case.
    """
    if name is None:
        return {}, {}
    try:
        module = _imported(name)
    except (Exception, SystemExit) as error:  # importing runs whatever the module says
        why = f"{type(error).__name__}: {error}"
        raise InvalidInput(
            f"--models {name}: cannot be imported ({why}); give a module, or the path of a .py file"
        ) from error
    models = getattr(module, "MODELS", None)
    if models is None:
        models = {cls.__name__.lower(): cls for cls in vars(module).values() if _is_defined(cls, module)}
        if not models:
            raise InvalidInput(f"--models {name}: has no MODELS, and defines no Struct and no dataclass")
    policies = getattr(module, "POLICIES", {})
    if not isinstance(models, Mapping) or not all(_is_model(cls) for cls in models.values()):
        raise InvalidInput(f'--models {name}: MODELS is no mapping such as {{"todo": Todo}} to Structs or dataclasses')
    if not isinstance(policies, Mapping) or not all(isinstance(policy, Policy) for policy in policies.values()):
        raise InvalidInput(f'--models {name}: POLICIES is no mapping such as {{"todo": Policy(...)}}')
    return dict(models), dict(policies)


def _imported(name: str) -> ModuleType:
    if not name.endswith(".py"):
        if "" not in sys.path:  # the current directory, where a console script does not look
            sys.path.insert(0, "")
        return importlib.import_module(name)
    path = Path(name).resolve()
    if (folder := str(path.parent)) not in sys.path:
        sys.path.insert(0, folder)  # as Python itself does for a script
    spec = importlib.util.spec_from_file_location(f"mergecore_models_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError("it is no file of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where annotations are looked up
    spec.loader.exec_module(module)
    return module


def _is_defined(cls: Any, module: ModuleType) -> bool:
    return _is_model(cls) and cls.__module__ == module.__name__ and not cls.__name__.startswith("_")


def _is_model(cls: Any) -> bool:
    is_record = isinstance(cls, type) and (issubclass(cls, msgspec.Struct) or hasattr(cls, "__dataclass_fields__"))
    return is_record and fields_of(cls) is not None


# ------------------------------------------------------------------------------------------ stores


def opened(
    where: str,
    models: str | None = None,
    name: str | None = None,
    *,
    make: bool = False,
    by: str | None = None,
    check: bool = True,
) -> Node:
    """The node whose store it is. ``make``: a new one, if there is a ``name``. ``check``: that models are not left out.

    Raises ``InvalidInput`` and ``StoreError``.
    """
    todo = "give --name NAME to make one" if make else "'mergecore serve', 'sync' and 'insert' make one"
    with _store(where, models, make and name is not None, todo) as (store, bound, known):
        if check:
            _same_models(store, bound["models"])
        if known.name is None:
            say(f"{named(where)} is new: the store of {printable(repr(name))}")
        return Node(name or known.name or "", store, by=by, **bound)


def served(
    where: str, models: str | None = None, name: str | None = None, *, make: bool = False, shows: bool = False
) -> SuperNode:
    """The super node whose store it is, or that is made there. ``shows``: its records, for which it must have their
    models. Raises ``InvalidInput`` and ``StoreError``.
    """
    with _store(where, models, make, "'mergecore serve' makes one") as (store, bound, known):
        if known.back_end not in (None, known.name):
            raise InvalidInput(
                f"{named(where)} is the store of {known.name!r}, a client of {known.back_end!r}: give a super node's"
            )
        if bound["models"] or shows:
            _same_models(store, bound["models"])
        if known.name is None:
            name = name or "server"
            say(f"{named(where)} is new: the store of the super node {printable(repr(name))}")
        return SuperNode(name or known.name or "", store, **bound)


class _Known(NamedTuple):
    """What a store says of the node that it is of."""

    name: str | None = None
    back_end: str | None = None


@contextlib.contextmanager
def _store(where: str, models: str | None, make: bool, todo: str) -> Iterator[tuple[SQLStore, dict[str, Any], _Known]]:
    """A store, the models and policies of its records, and what it says of its node. Closed again if that fails."""
    classes, policies = models_of(models)
    bound: dict[str, Any] = {"models": classes, "policies": policies}
    if not make and "://" not in where and not _holds_a_node(where):
        raise _no_node(where, todo)
    store = SQLStore(where, classes)
    try:
        with store.transaction(write=False) as tx:
            state = tx.state
        if state is None and not make:
            raise _no_node(where, todo)
        known = _Known() if state is None else _Known(state.name, state.back_end)
        yield store, bound, known
    except BaseException:
        store.close()
        raise


@contextlib.contextmanager
def unmade(where: str) -> Iterator[None]:
    """A file that is made in here, and in which a node has met nobody when there is an error, goes away with that."""
    there = os.path.exists(where)
    try:
        yield
    except MergeError:
        if not there and "://" not in where and _holds_a_node(where):
            with opened(where, check=False) as node:
                is_new = not node.nodes() and not node.position
            for end in ("", "-wal", "-shm") if is_new else ():
                Path(where + end).unlink(missing_ok=True)
        raise


def named(where: str) -> str:
    """A database as one may show it: printable, and without a password."""
    if "://" in where:
        try:
            where = sa.make_url(where).render_as_string()
        except (ArgumentError, ValueError):
            where = f"{where.partition(':')[0]}://..."
    return printable(where)


def _holds_a_node(path: str) -> bool:
    """Whether a file is a node's store: what is somebody else's is not made one by looking at it."""
    if not os.path.exists(path):
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)) as found:
            wanted = "SELECT 1 FROM sqlite_master WHERE name = 'mergecore_node'"
            return found.execute(wanted).fetchone() is not None
    except sqlite3.Error:
        return True  # what is wrong with it is told when it is opened


def _no_node(where: str, todo: str) -> StoreError:
    there = "://" in where or os.path.exists(where)
    what = f"{named(where)} is no store of a node" if there else f"there is no database {named(where)}"
    return StoreError(f"{what}: {todo}")


def _same_models(store: SQLStore, models: Mapping[str, Any]) -> None:
    """Raises ``InvalidInput`` where records of a model would be taken for documents without a schema."""
    with store.transaction(write=False) as tx:
        schemaless = [name for name in tx.count_by_model() if name not in models]
    inspector = sa.inspect(store.engine)
    for name in schemaless:
        if "record" not in {column["name"] for column in inspector.get_columns(name)}:
            raise InvalidInput(f"the records {name!r} have a model: give --models MODULE, or set MERGECORE_MODELS")
