"""The catalog's database: made, migrated, shared by processes, refused where it cannot be used."""

from __future__ import annotations

import sqlite3
import stat
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from catalog.engines import open_and_close
from fleetlabel.engine.catalog import Catalog, Role, State
from fleetlabel.engine.catalog.database import connect, parse_url, writing
from fleetlabel.engine.catalog.migrating import migrate, revision_of, revisions
from fleetlabel.engine.catalog.schema import METADATA
from fleetlabel.model.errors import CatalogError, LimitError, OperationNotFoundError, UsageError


def test_migrations_make_the_tables_that_the_code_reads(catalog_url: str) -> None:
    Catalog(catalog_url).close()
    engine = connect(parse_url(catalog_url))
    made = inspect(engine)
    try:
        assert set(made.get_table_names()) == {*METADATA.tables, "alembic_version"}
        for table in METADATA.tables.values():
            columns = {column["name"]: column for column in made.get_columns(table.name)}
            assert set(columns) == set(table.columns.keys())
            for column in table.columns:
                assert columns[column.name]["nullable"] == column.nullable, column
                assert columns[column.name]["type"]._type_affinity is column.type._type_affinity, column
            assert {index["name"] for index in made.get_indexes(table.name)} >= {
                i.name for i in table.indexes
            }
        unique = made.get_unique_constraints("operations")
        assert [one["column_names"] for one in unique] == [["owner", "request_id"]]
    finally:
        engine.dispose()


@pytest.mark.parametrize("number", range(len(revisions()) - 1))
def test_a_catalog_of_each_earlier_version_is_brought_here_with_what_it_holds(
    catalog_url: str, number: int
) -> None:
    old = revisions()[number]
    engine = connect(parse_url(catalog_url))
    migrate(engine, old)
    assert revision_of(engine) == old
    with writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO operations (id, kind, owner, place, request, state, stage, frames_done, frames_total,"
                " frames_per_s, cancel_requested, fruitless_starts, begun, created_ns, updated_ns)"
                " VALUES ('ab', 'ingest', 'ann', '/a', '{}', 'failed', 'ingest', 1, 2, 0.5, false, 0, true, 7, 8)"
            )
        )
    engine.dispose()
    with Catalog(catalog_url) as catalog:
        kept = catalog.operations.get("ab")
        assert (kept.owner, kept.state, kept.created_ns, kept.begun) == ("ann", State.FAILED, 7, True)
        catalog.tokens.create("ann", Role.ADMIN)
    engine = connect(parse_url(catalog_url))
    assert revision_of(engine) == revisions()[-1]
    engine.dispose()


def test_a_catalog_of_a_newer_version_is_refused_and_left_alone(catalog_url: str) -> None:
    Catalog(catalog_url).close()
    engine = connect(parse_url(catalog_url))
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CatalogError, match=r"newer FleetLabel: its schema is 9999.*up to 0002"):
        Catalog(catalog_url)
    assert revision_of(engine) == "9999"
    engine.dispose()


@pytest.mark.slow
def test_processes_that_open_a_new_catalog_at_once_all_get_it(
    catalog_url: str, processes: ForkServerContext
) -> None:
    with ProcessPoolExecutor(4, mp_context=processes) as pool:
        made = list(pool.map(open_and_close, [catalog_url] * 8))
    with Catalog(catalog_url) as catalog:
        assert {token.id for token in catalog.tokens.list()} == set(made)


def test_one_engine_at_a_time_runs_a_catalogs_operations(catalog_url: str) -> None:
    with Catalog(catalog_url) as first, Catalog(catalog_url) as second:
        with first.sole_engine():
            with pytest.raises(CatalogError, match="another engine runs on"), second.sole_engine():
                pass
            second.tokens.create("ann", Role.VIEWER)  # commands need not wait for the engine
        with second.sole_engine():
            pass


def test_what_is_written_to_a_file_waits_for_the_disk_and_is_nobody_elses(tmp_path: Path) -> None:
    file = tmp_path / "state" / "catalog.sqlite"
    with Catalog(str(file)) as catalog:
        with catalog._engine.connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "url", ["", "mysql://u@h/d", "postgresql://h", "sqlite://", "sqlite:///:memory:", "http://x/y", "a\0b"]
)
def test_what_is_no_catalog_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="expected a file, sqlite:///FILE or postgresql://"):
        Catalog(url)


def test_no_message_tells_the_password() -> None:
    with pytest.raises(CatalogError, match="cannot be used") as refused:
        Catalog("postgresql://ann:hushhush@127.0.0.1:1/catalog")
    assert "hushhush" not in str(refused.value)


def test_a_damaged_file_is_told_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(CatalogError, match=r"damaged or none"):
        Catalog(str(file))
    assert file.read_bytes() == b"no database at all" * 1000


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CatalogError, match="cannot write the catalog"):
        Catalog(str(tmp_path / "file" / "catalog.sqlite"))


# --- operations -----------------------------------------------------------------------------------------------------


def test_a_request_id_stands_for_one_operation_of_its_owner(catalog: Catalog) -> None:
    table = catalog.operations
    first, repeated = table.add("ann", "ingest", "place", {"a": 1, "b": [2]}, "r", request_id="x")
    again, repeated_again = table.add("ann", "ingest", "place", {"b": [2], "a": 1}, "r", request_id="x")
    assert (again, repeated, repeated_again) == (first, False, True)
    assert table.add("bob", "ingest", "place", {"a": 1, "b": [2]}, "r", request_id="x")[0].id != first.id
    with pytest.raises(UsageError, match="asked something else"):
        table.add("ann", "ingest", "place", {"a": 2}, "r", request_id="x")
    for bad in ("", "a\nb", "x" * 201, "\ud800"):
        with pytest.raises(UsageError, match="printable"):
            table.add("ann", "ingest", "place", {}, "r", request_id=bad)


def test_requests_repeated_at_the_same_time_make_one_operation(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(
            pool.map(
                lambda _: catalog.operations.add("ann", "k", "place", {}, "r", request_id="x")[0].id,
                range(32),
            )
        )
    assert len(ids) == 1
    assert len(catalog.operations.list().operations) == 1


def test_an_owner_has_at_most_so_many_open(catalog: Catalog) -> None:
    table = catalog.operations
    first, _ = table.add("ann", "k", "place", {}, "r", most_open=2)
    table.add("ann", "k", "place", {}, "r", most_open=2)
    with pytest.raises(LimitError, match="ann has 2 operations open"):
        table.add("ann", "k", "place", {}, "r", most_open=2)
    table.add("bob", "k", "place", {}, "r", most_open=2)
    table.finish(first.id, "r", State.SUCCEEDED, first.progress)
    table.add("ann", "k", "place", {}, "r", most_open=2)


def test_pages_hold_each_operation_once_although_others_are_added(catalog: Catalog) -> None:
    table = catalog.operations
    made = [table.add("ann" if n % 2 else "bob", "k", f"place{n % 3}", {"n": n}, "r")[0] for n in range(11)]
    seen, page_token = [], ""
    while True:
        page = table.list(page_size=3, page_token=page_token)
        seen += page.operations
        page_token = page.next_page_token
        if not page_token:
            break
        table.add("eve", "k", "place", {}, "r")
    assert sorted(one.id for one in seen) == sorted(one.id for one in made)
    assert {one.id for one in table.list(owner="ann", states=[State.QUEUED]).operations} == {
        one.id for one in made if one.owner == "ann"
    }
    assert [one.request["n"] for one in table.list(place="place0").operations] == [9, 6, 3, 0]
    assert table.list(states=[State.FAILED]).operations == table.list(kinds=["z"]).operations == ()
    for bad in ("x", "1", f"{2**63}-{'0' * 32}", "1-' OR 1=1"):
        with pytest.raises(UsageError, match="no page token"):
            table.list(page_token=bad)
    with pytest.raises(UsageError, match="at least one"):
        table.list(page_size=0)


def test_an_engine_that_was_replaced_changes_nothing_any_more(catalog: Catalog) -> None:
    table = catalog.operations
    made, _ = table.add("ann", "k", "place", {}, "old")
    assert table.start(made.id, "old")
    assert [one.id for one in table.adopt("new")] == [made.id]
    assert not table.note(made.id, "old", made.progress, fruitful=True)
    assert not table.finish(made.id, "old", State.FAILED, made.progress, error="no")
    found = table.get(made.id)
    assert (found.state, found.error, found.fruitless_starts) == (State.QUEUED, None, 1)
    assert table.finish(made.id, "new", State.SUCCEEDED, made.progress, result={"a": "\0"})
    assert not table.finish(made.id, "new", State.FAILED, made.progress)  # it stays so
    assert table.get(made.id).result == {"a": "\0"}


def test_an_error_may_name_any_file(catalog: Catalog) -> None:
    made, _ = catalog.operations.add("ann", "k", "place", {"path": "\udcff\0"}, "r")
    catalog.operations.finish(made.id, "r", State.FAILED, made.progress, error_kind="E", error="\udcff \0 é")
    found = catalog.operations.get(made.id)
    assert (found.error, found.request) == ("\\udcff \\0 é", {"path": "\udcff\0"})


def test_what_was_over_long_ago_is_forgotten(catalog: Catalog) -> None:
    done, _ = catalog.operations.add("ann", "k", "place", {}, "r")
    waits, _ = catalog.operations.add("ann", "k", "place", {}, "r")
    catalog.operations.finish(done.id, "r", State.SUCCEEDED, done.progress)
    finished_ns = catalog.operations.get(done.id).finished_ns
    assert finished_ns is not None
    assert catalog.operations.forget(finished_ns) == 0
    assert catalog.operations.forget(finished_ns + 1) == 1
    with pytest.raises(OperationNotFoundError):
        catalog.operations.get(done.id)
    assert catalog.operations.get(waits.id) == waits


def test_a_file_that_others_write_to_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    with Catalog(str(file)) as catalog, ThreadPoolExecutor(1) as pool:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        added = pool.submit(catalog.operations.add, "ann", "k", "place", {}, "r")
        assert catalog.operations.list().operations == ()  # readers need not wait
        other.execute("COMMIT")
        other.close()
        assert added.result(60)[1] is False
