"""PostgreSQL peers that fail, and rows that commit late."""

from __future__ import annotations

import socket
import traceback
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog.errors import LeishuError, Refused, Unavailable, Unreadable
from catalog.shape import Field
from connectors.credentials import Secret
from connectors.seam import Link, Slice
from exchange import embedded
from tests.conformance.test_connectors import payload, read_all, rows_of
from tests.conformance.worlds import (
    DatabaseWorld,
    FrontEndWorld,
    append,
    layout,
    link,
    postgres_secret,
    write,
)
from tests.postgres import scratch

SECRET_VALUE = "张三丰330683199001011234"


@pytest.fixture(scope="module")
def shared_database(postgres_server: str) -> Iterator[str]:
    with scratch(postgres_server) as url:
        yield url


@pytest.fixture
def world(shared_database: str) -> DatabaseWorld:
    return DatabaseWorld(shared_database)


@pytest.fixture
def front_end(shared_database: str) -> FrontEndWorld:
    return FrontEndWorld(shared_database)


def told(e: pytest.ExceptionInfo[LeishuError]) -> str:
    """The sentence in both languages, and what a log would show of it."""
    return e.value.zh + e.value.en + "".join(traceback.format_exception(e.value))


def failing(link: Link) -> str:
    """The sentence of the test's one failed step, the last."""
    *before, last = link.test()
    assert all(s.ok for s in before)
    assert not last.ok
    assert last.zh
    assert last.en
    return last.en


def test_a_database_that_is_down_is_unavailable(world: DatabaseWorld) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    down = link("database", postgres_secret(world.url, port=str(port)))
    with pytest.raises(Unavailable, match=str(port)):
        down.source(world.out).extract(Slice(cursor=None))
    assert "cannot be reached" in failing(down)


def test_a_server_that_never_answers_is_unavailable(world: DatabaseWorld) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        secret = postgres_secret(world.url, port=str(mute.getsockname()[1]))
        silent = link("database", secret, connect_seconds=2)
        with pytest.raises(Unavailable):
            silent.sink(world.into).deliver(payload(world, []), key="b1")


def test_a_wrong_password_is_refused_without_showing_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("server")
    for parent in (folder, folder.parent):
        parent.chmod(0o755)
    server = embedded.start(folder / "pg")
    try:
        secret = postgres_secret(server.url(), password="wrong-password")
        refused = link("database", secret)
        with pytest.raises(Refused, match="credential") as e:
            refused.source(layout("x", "x")).extract(Slice(cursor=None))
        assert "wrong-password" not in told(e)
        assert "refused the login" in failing(refused)
    finally:
        embedded.erase(folder / "pg")


def test_a_missing_database_table_or_column_is_named(world: DatabaseWorld) -> None:
    with pytest.raises(Refused, match="no_such_db"):
        link("database", postgres_secret(world.url, database="no_such_db")).source(world.out).extract(
            Slice(cursor=None)
        )
    with pytest.raises(Refused, match="no_table"):
        world.link.source(layout("x", "no_table")).extract(Slice(cursor=None))
    more = layout("x", world.out.resource, Field(name="phone", title="电话"))
    with pytest.raises(Refused, match="phone"):
        world.link.source(more).extract(Slice(cursor=None))


def test_a_login_without_grants_is_told_what_to_ask_for(world: DatabaseWorld) -> None:
    role = f"stranger_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(world.url, autocommit=True) as c:
        c.execute(f"CREATE ROLE {role} LOGIN")
        try:
            c.execute(f"GRANT USAGE ON SCHEMA {world.out.resource.split('.')[0]} TO {role}")
            stranger = link("database", postgres_secret(world.url, login=role))
            with pytest.raises(Refused, match="grants"):
                stranger.source(world.out).extract(Slice(cursor=None))
            assert "SELECT" in failing(stranger)
        finally:
            c.execute(f"DROP OWNED BY {role}")
            c.execute(f"DROP ROLE {role}")


def test_a_constraint_of_the_peer_refuses_without_the_value(world: DatabaseWorld) -> None:
    with psycopg.connect(world.url) as c:
        c.execute("ALTER TABLE taken ADD CHECK (length(name) < 5)")
    sent = payload(world, [{"_key": "A1", "name": SECRET_VALUE, "note": None}])
    with pytest.raises(Refused, match="constraints") as e:
        world.link.sink(world.into).deliver(sent, key="b1")
    assert SECRET_VALUE not in told(e)
    assert world.holds() == {}


def test_a_value_of_another_type_is_unreadable_without_the_value(world: DatabaseWorld) -> None:
    world.enter([("i", "A1", {"name": SECRET_VALUE})])
    with psycopg.connect(world.url) as c:
        c.execute("ALTER TABLE given ADD age text")
        c.execute("UPDATE given SET age = name")
    typed = layout("x", world.out.resource, Field(name="age", title="年龄", type="integer"))
    with pytest.raises(Unreadable, match="declare the column as string") as e:
        list(world.link.source(typed).extract(Slice(cursor=None)).batches)
    assert SECRET_VALUE not in told(e)


def test_an_operation_that_is_not_declared_is_unreadable(front_end: FrontEndWorld) -> None:
    front_end.enter([("x", "A1", {"name": "甲"})])
    with pytest.raises(Unreadable, match="operation"):
        rows_of(front_end, None)


def test_rows_that_no_table_takes_are_answered_singly(world: DatabaseWorld) -> None:
    records: list[dict[str, Any]] = [
        {"_key": "A1", "name": "甲", "note": None},
        {"_key": None, "code": None, "name": "乙", "note": None},
        {"_key": "A3", "name": "nul\x00", "note": None},
        {"_key": None, "code": "A4", "name": "丁", "note": None},
    ]
    receipt = world.link.sink(world.into).deliver(payload(world, records), key="b1")
    assert [(r["row"], r["field"], r["code"]) for r in receipt.rows.to_pylist()] == [
        (1, None, "4"),
        (2, "name", "4"),
    ]
    assert set(world.holds()) == {"A1", "A4"}


def test_what_is_the_same_already_is_not_written(world: DatabaseWorld) -> None:
    records = [{"_key": f"A{i}", "name": "甲", "note": None} for i in range(5)]
    sink = world.link.sink(world.into)
    sink.deliver(payload(world, records), key="b1")
    writes = world.writes()
    sink.deliver(payload(world, records, number="2025013100002"), key="b2")
    assert world.writes() == writes
    sink.deliver(payload(world, [{**records[0], "name": "乙"}, *records[1:]]), key="b3")
    assert world.writes() == writes + 1


def test_without_a_table_of_deliveries_the_effect_is_still_one(front_end: FrontEndWorld) -> None:
    role = f"guest_{uuid.uuid4().hex[:8]}"
    schema = front_end.into.resource.split(".")[0]
    with psycopg.connect(front_end.url, autocommit=True) as c:
        c.execute(f"CREATE ROLE {role} LOGIN")
        try:
            c.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
            c.execute(f"GRANT SELECT, INSERT ON ex_in TO {role}")
            sink = link("front_end", postgres_secret(front_end.url, login=role)).sink(front_end.into)
            sent = payload(front_end, [{"_key": "A1", "name": "甲", "note": None}])
            assert sink.deliver(sent, key="b1") == sink.deliver(sent, key="b1")
            assert front_end.writes() == 1
        finally:
            c.execute(f"DROP OWNED BY {role}")
            c.execute(f"DROP ROLE {role}")


@contextmanager
def open_transaction(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as c:
        c.execute("SELECT pg_current_xact_id()")
        yield c


@pytest.mark.parametrize("savepoint", [False, True])
def test_a_row_that_commits_late_is_read_once(world: DatabaseWorld, savepoint: bool) -> None:
    """Its change time, and its transaction's number, lie before those of rows that were read already."""
    with open_transaction(world.url) as late:
        if savepoint:
            late.execute("SAVEPOINT s")
        write(late, [("i", "LATE", {"name": "迟"})])
        world.enter([("i", "A1", {"name": "甲"}), ("i", "A2", {"name": "乙"})])
        rows, cursor = read_all(world, limit=1)
        assert sorted(r["_key"] for r in rows) == ["A1", "A2"]
        assert rows_of(world, cursor)[0] == []  # nothing twice while it still runs
        world.enter([("u", "A2", {"name": "丙"})])
        rows, cursor = read_all(world, cursor)
        assert [r["_key"] for r in rows] == ["A2"]
        if savepoint:
            late.execute("RELEASE s")
    rows, cursor = read_all(world, cursor)
    assert [r["_key"] for r in rows] == ["LATE"]
    assert rows_of(world, cursor)[0] == []


def test_rows_that_change_between_pages_are_read_again_and_no_other(world: DatabaseWorld) -> None:
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(6)])
    rows, cursor, _ = rows_of(world, None, limit=2)
    world.enter([("u", "A0", {"name": "新"}), ("u", "A5", {"name": "新"}), ("i", "A9", {"name": "新"})])
    rest, cursor = read_all(world, cursor, limit=2)
    both = sorted(r["_key"] for r in rows + rest if r["name"] == "甲")
    assert both == ["A0", "A1", "A2", "A3", "A4"]
    assert sorted(r["_key"] for r in rest if r["name"] == "新") in ([], ["A0", "A5", "A9"])
    last, cursor = read_all(world, cursor, limit=10)
    new = [r["_key"] for r in rest + last if r["name"] == "新"]
    assert sorted(new) == ["A0", "A5", "A9"]
    assert rows_of(world, cursor)[0] == []


def test_a_number_that_commits_late_is_read_once(front_end: FrontEndWorld) -> None:
    with open_transaction(front_end.url) as late:
        append(late, [("i", "LATE", {"name": "迟"})])
        front_end.enter([("i", "A1", {"name": "甲"})])
        rows, cursor = read_all(front_end)
        assert [r["_key"] for r in rows] == ["A1"]
    rows, cursor = read_all(front_end, cursor)
    assert [r["_key"] for r in rows] == ["LATE"]
    assert rows_of(front_end, cursor)[0] == []


def test_a_writer_elsewhere_on_the_server_holds_nothing_back(
    world: DatabaseWorld, postgres_server: str
) -> None:
    with open_transaction(postgres_server):
        world.enter([("i", "A1", {"name": "甲"})])
        rows, cursor = read_all(world)
        assert [r["_key"] for r in rows] == ["A1"]
        world.enter([("i", "A2", {"name": "乙"})])
        rows, cursor = read_all(world, cursor)
        assert [r["_key"] for r in rows] == ["A2"]
        assert rows_of(world, cursor)[0] == []


def test_the_cursor_of_another_server_reads_anew_within_the_lookback(world: DatabaseWorld) -> None:
    world.enter([("i", "A1", {"name": "甲"})])
    _, cursor = read_all(world)
    assert cursor is not None
    moved = cursor.replace('"server": "', '"server": "9')
    assert [r["_key"] for r in rows_of(world, moved)[0]] == ["A1"]


def test_a_view_is_read_in_order_of_its_change_times(world: DatabaseWorld) -> None:
    with psycopg.connect(world.url) as c:
        c.execute("CREATE VIEW seen AS SELECT * FROM given")
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(5)])
    schema = world.out.resource.split(".")[0]
    resource = f"{schema}.seen"
    at = Field(name="updated_at", title="更新时间", type="datetime")
    world.out = layout("peer.out", resource, at, changed_at="updated_at")
    world.link = link("database", postgres_secret(world.url), settle_seconds=0)
    rows, cursor = read_all(world, limit=2)
    assert sorted(r["_key"] for r in rows) == [f"A{i}" for i in range(5)]
    assert rows_of(world, cursor)[0] == []
    world.link = link("database", postgres_secret(world.url), settle_seconds=60)
    assert rows_of(world, None)[0] == []
    with pytest.raises(Refused, match="changed_at"):
        world.link.source(layout("x", resource)).extract(Slice(cursor=None))


def test_marks_are_written_back_where_asked_for(front_end: FrontEndWorld) -> None:
    with psycopg.connect(front_end.url) as c:
        c.execute("ALTER TABLE ex_out ADD cd_read timestamp")
    front_end.link = link("front_end", postgres_secret(front_end.url), mark="cd_read")
    front_end.enter([("i", f"A{i}", {"name": "甲"}) for i in range(4)])
    rows, cursor = read_all(front_end, limit=3)
    assert [r["_key"] for r in rows] == ["A0", "A1", "A2", "A3"]
    with psycopg.connect(front_end.url) as c:
        assert c.execute("SELECT count(*) FROM ex_out WHERE cd_read IS NULL").fetchone() == (0,)
    assert rows_of(front_end, cursor)[0] == []
    assert len(rows_of(front_end, None)[0]) == 4


def test_a_missing_credential_fails_the_first_step(tmp_path: Path) -> None:
    from connectors.credentials import LocalCredentials
    from connectors.registry import default_registry

    made = default_registry().open("peer", "对端", "database", {}, "peer", LocalCredentials(folder=tmp_path))
    (step,) = made.test()
    assert "credential" in step.en
    assert not step.ok
    assert link("database", Secret()).test()[0].en.count("database") == 1
