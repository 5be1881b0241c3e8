"""What the tests of the sync layer share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .postgres import NotInstalled, PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running PostgreSQL, one for each worker, started by the first test that needs it."""
    try:
        server = PostgreSQL()
    except NotInstalled as why:
        pytest.skip(str(why))
    with server:
        yield server


@pytest.fixture
def postgres_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty database of PostgreSQL, this test's own."""
    with postgresql.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty database of each kind: the path of a file, and a URL."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return str(tmp_path_factory.mktemp("store") / "store.db")
