"""A PostgreSQL of the tests' own: a server per worker, a fresh database per test."""

from __future__ import annotations

import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["NotInstalled", "PostgreSQL"]

_OWNER = "tester"
_PORT = 5432  # of the socket's file name alone: nothing listens on the network
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "fsync": "off",  # the machine does not lose power in these tests
    "full_page_writes": "off",
    "autovacuum": "off",
    "log_min_messages": "warning",
}


class NotInstalled(Exception):
    """Says in one sentence what is missing."""


class PostgreSQL:
    """A server that this process has started, and that ends with it: ``with PostgreSQL() as server``.

    It refuses to be run by root: then it is ``postgres`` or ``nobody`` who runs it. It is reached by a socket in its
    own temporary folder, so that no two servers are in each other's way.
    """

    def __init__(self) -> None:
        self._programs: Final = _programs()
        self._user: Final = _user()
        self._folder: Final = _folder(self._user)
        self._data: Final = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def url(self, database: str = "postgres") -> str:
        """Where a database is, as the sync layer is told."""
        return f"postgresql://{_OWNER}@/{database}?host={self._folder}&port={_PORT}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new, empty database, dropped afterwards with whoever is still connected: its URL."""
        url = self.create()
        try:
            yield url
        finally:
            self.drop(url)

    def create(self) -> str:
        """A new, empty database: its URL."""
        name = f"test_{next(self._numbers)}"
        self._ask(f"CREATE DATABASE {name}")
        return self.url(name)

    def copy(self, url: str) -> str:
        """A new database that holds what another one does, to which nobody may be connected: its URL."""
        name = f"test_{next(self._numbers)}"
        self._ask(f"CREATE DATABASE {name} TEMPLATE {url.split('@/')[1].split('?')[0]}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Drops a database with whoever is still connected."""
        self._ask(f"DROP DATABASE IF EXISTS {url.split('@/')[1].split('?')[0]} WITH (FORCE)")

    def _ask(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload,unused-ignore]  # takes literals alone

    def _start(self) -> None:
        folder, who = os.fspath(self._folder), self._as_user()
        made: list[Any] = [self._programs / "initdb", "-D", self._data, "-U", _OWNER, "--auth=trust", "--encoding=UTF8"]
        self._run([*made, "--no-locale", "--no-sync", "--no-instructions"], **who)
        told = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command: list[Any] = [self._programs / "postgres", "-D", self._data, "-k", folder, "-p", str(_PORT), *told]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_dies_with_us(), **who
            )
        self._wait()

    def _wait(self) -> None:
        import psycopg

        assert self._process is not None
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=10).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL does not start:\n{(self._folder / 'log').read_text()}") from None
                time.sleep(0.05)

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # "fast": it drops who is connected, and ends in order
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _as_user(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}

    def _run(self, command: list[Any], **how: Any) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, **how)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


def _programs() -> Path:
    """The folder of the newest ``initdb`` and ``postgres``: on the path, or where Debian puts them."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise NotInstalled("psycopg is not installed, so nothing runs on PostgreSQL.") from None
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    folders += sorted(
        versions, key=lambda path: [int(x) for x in path.parts[-2].split(".") if x.isdigit()], reverse=True
    )
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NotInstalled("PostgreSQL is not installed, so nothing runs on it.")


def _user() -> pwd.struct_passwd | None:
    """Who is to run it, unless it may be whoever we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NotInstalled("PostgreSQL refuses to be run by root, and there is nobody else here to run it.")


def _folder(user: pwd.struct_passwd | None) -> Path:
    """A new folder that the user owns and can reach: pytest's own is closed to anybody else. Its path is short, as that
    of a socket must be.
    """
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp")):
        try:
            folder = Path(tempfile.mkdtemp(prefix="mergecore-pg-", dir=parent))
        except OSError:
            continue
        if user is None:
            return folder
        os.chown(folder, user.pw_uid, user.pw_gid)
        if len(os.fspath(folder)) < 80 and not subprocess.run(["test", "-w", folder], user=user.pw_uid).returncode:
            return folder
        folder.rmdir()
    raise NotInstalled("There is no temporary folder that the user who would run PostgreSQL can reach.")


def _dies_with_us() -> Any:
    """On Linux: ends the child when its parent is gone, however that went (a run of tests may be killed)."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    set_death_signal = 1  # PR_SET_PDEATHSIG
    return lambda: libc.prctl(set_death_signal, int(signal.SIGINT))
