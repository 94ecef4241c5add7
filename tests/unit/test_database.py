"""The database: transactions, errors as ours, COPY in and out with exact values."""

from __future__ import annotations

import datetime as dt
import socket
import uuid
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import LeaseLost, LeishuError, Refused, Unavailable, Unreadable
from exchange.database import Database, copy_in, copy_out, statement

SHAPE = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("words", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("uid", pa.string()),
        pa.field("amount", pa.decimal128(12, 3)),
        pa.field("yes", pa.bool_()),
        pa.field("day", pa.date32()),
        pa.field("instant", pa.timestamp("us", tz="UTC")),
        pa.field("facts", pa.string()),
        pa.field("small", pa.int32()),
    ]
)
DDL = """CREATE TABLE things (id bigint, words text, raw bytea, uid uuid, amount numeric(12, 3), yes boolean,
         day date, instant timestamptz, facts jsonb, small int)"""
HOSTILE = ["", " ", '"', '""', "a,b", "a\nb", "a\r\nb", "\r", "\\", "\\N", "\\.", "x\n\\.\ny", "NULL", "null",
           "雷电防护", "'; DROP TABLE things; --", "%s %(x)s :x", "\t", "\x01\x7f", "\u2028", "🌩", "t", "{}"]  # fmt: skip


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    with made.transaction() as connection:
        connection.execute(sa.text(DDL))
    yield made
    made.close()


def things(rows: list[dict[str, object]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=SHAPE)


def read(database: Database, **options: int) -> list[dict[str, object]]:
    with database.transaction() as connection:
        parts = list(copy_out(connection, "SELECT * FROM things ORDER BY id", SHAPE, **options))
    assert all(p.schema == SHAPE for p in parts)
    return [r for p in parts for r in p.to_pylist()]


def full(n: int, words: str | None) -> dict[str, object]:
    return {
        "id": n, "words": words, "raw": bytes(range(256)), "uid": str(uuid.UUID(int=n)),
        "amount": Decimal("-123456789.125"), "yes": n % 2 == 0, "day": dt.date(1900, 2, 28),
        "instant": dt.datetime(2026, 5, 1, 16, 0, 0, 1, tzinfo=dt.UTC), "facts": '{"a": [1, null, "\\""]}',
        "small": -n,
    }  # fmt: skip


def test_hostile_text_and_nulls_come_back_exactly(database: Database) -> None:
    nothing: dict[str, object] = dict.fromkeys(SHAPE.names)
    rows = [full(n, words) for n, words in enumerate(HOSTILE)]
    rows += [nothing | {"id": 1000}, full(1001, None), full(1002, "") | {"raw": b""}]
    with database.transaction() as connection:
        assert copy_in(connection, "things", [things(rows[:5]), things(rows[5:])]) == len(rows)
    assert read(database) == rows
    assert read(database, batch_rows=2) == rows
    with database.transaction() as connection:
        empty = connection.execute(sa.text("SELECT count(*) FROM things WHERE words = ''")).scalar_one()
        null = connection.execute(sa.text("SELECT count(*) FROM things WHERE words IS NULL")).scalar_one()
    assert (empty, null) == (2, 2)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "words": st.none()
                | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
                "raw": st.none() | st.binary(max_size=20),
                "amount": st.none() | st.decimals(-(10**8), 10**8, places=3),
                "yes": st.none() | st.booleans(),
                "day": st.none() | st.dates(),
                "instant": st.none() | st.datetimes(timezones=st.just(dt.UTC)),
            }
        ),
        max_size=20,
    )
)
def test_whatever_goes_in_comes_out(database: Database, rows: list[dict[str, object]]) -> None:
    whole = [dict.fromkeys(SHAPE.names) | {"id": n} | r for n, r in enumerate(rows)]
    with database.transaction() as connection:
        connection.execute(sa.text("TRUNCATE things"))
        copy_in(connection, "things", [things(whole)])
    assert read(database) == whole


def test_a_lone_null_column_keeps_its_rows(database: Database) -> None:
    schema = pa.schema([pa.field("words", pa.string())])
    rows = [None, "", None, "x"]
    with database.transaction() as connection:
        copy_in(connection, "things", [pa.record_batch([pa.array(rows, pa.string())], schema=schema)])
        back = list(copy_out(connection, "SELECT words FROM things", schema))
    assert [v for b in back for v in b.column(0).to_pylist()] == rows


def test_some_columns_and_a_quoted_or_declared_table(database: Database) -> None:
    table = sa.Table("Odd name", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("words", sa.Text))
    with database.transaction() as connection:
        table.create(connection)
        assert copy_in(connection, table, [things([full(1, "a")])], columns=["words", "id"]) == 1
        assert copy_in(connection, '"Odd name"', [things([full(2, "b")])], columns=["id"]) == 1
        assert copy_in(connection, "public.things", iter(())) == 0
        assert copy_in(connection, "things", [things([])]) == 0
        with pytest.raises(ValueError, match="SQL name"):
            copy_in(connection, "things; DROP TABLE things", [things([full(3, "c")])])
        assert connection.execute(sa.select(table).order_by("id")).all() == [(1, "a"), (2, None)]


def test_nul_is_refused_by_column_name_without_the_value(database: Database) -> None:
    with pytest.raises(Refused, match="words") as caught, database.transaction() as connection:
        copy_in(connection, "things", [things([full(1, "secret\0value")])])
    assert "secret" not in told(caught.value)
    assert read(database) == []


def test_a_value_that_does_not_fit_is_refused_without_the_value(database: Database) -> None:
    bad = things([full(1, "x") | {"uid": "secret-not-a-uuid"}])
    with pytest.raises(Refused, match="22P02") as caught, database.transaction() as connection:
        copy_in(connection, "things", [bad])
    assert "secret" not in told(caught.value)


def test_copy_out_binds_parameters_and_never_glues(database: Database) -> None:
    with database.transaction() as connection:
        copy_in(connection, "things", [things([full(n, w) for n, w in enumerate(HOSTILE)])])
    table = sa.Table("things", sa.MetaData(), sa.Column("id", sa.BigInteger), sa.Column("words", sa.Text))
    schema = pa.schema([pa.field("id", pa.int64())])
    with database.transaction() as connection:
        for n, words in enumerate(HOSTILE):
            by_text = "SELECT id FROM things WHERE words = :words AND words NOT LIKE '100%%'"
            got = list(copy_out(connection, by_text, schema, parameters={"words": words}))
            assert [v for b in got for v in b.column(0).to_pylist()] == [n]
            by_core = sa.select(table.c.id).where(table.c.words.in_([words, "no such"]))
            assert [v for b in copy_out(connection, by_core, schema) for v in b.column(0).to_pylist()] == [n]
        many = sa.select(table.c.id).where(
            table.c.id == sa.func.any(sa.literal([1, 3], sa.ARRAY(sa.BigInteger)))
        )
        assert sum(b.num_rows for b in copy_out(connection, many, schema)) == 2


def test_a_type_that_does_not_fit_is_unreadable(database: Database) -> None:
    with database.transaction() as connection:
        copy_in(connection, "things", [things([full(1, "secret")])])
    for query in ("SELECT words FROM things", "SELECT id, words FROM things"):
        with pytest.raises(Unreadable) as caught, database.transaction() as connection:
            list(copy_out(connection, query, pa.schema([pa.field("id", pa.int64())])))
        assert "secret" not in told(caught.value)


def test_a_reader_may_stop_early_and_the_next_transaction_works(database: Database) -> None:
    with database.transaction() as connection:
        copy_in(connection, "things", [things([full(n, "x" * 1000) for n in range(5000)])])
    with pytest.raises(LeaseLost), database.transaction() as connection:  # noqa: PT012
        for _ in copy_out(connection, "SELECT * FROM things", SHAPE, batch_rows=10):
            raise LeaseLost("换人了", "someone else has it")
    with database.transaction() as connection:
        assert sum(b.num_rows for b in copy_out(connection, "SELECT * FROM things", SHAPE)) == 5000


def told(error: BaseException) -> str:
    """All that a log could show of an error: its words and those of whatever hangs on it."""
    chain: list[BaseException] = [error]
    for e in chain:
        chain += [x for x in (e.__cause__, e.__context__) if x is not None]
    return "\n".join(str(e) for e in chain)


def _fails(url: str) -> LeishuError:
    with pytest.raises(LeishuError) as caught:
        Database(url).ping()
    assert "hunter2" not in told(caught.value)
    return caught.value


def test_each_way_of_not_getting_in_is_said(database_url: str, unused_port: int) -> None:
    good = sa.make_url(database_url)
    missing = _fails(good.set(database="no_such_database").render_as_string(hide_password=False))
    assert isinstance(missing, Refused)
    assert "no_such_database" in missing.en
    down = _fails(f"postgresql://u:hunter2@127.0.0.1:{unused_port}/x")
    assert isinstance(down, Unavailable)
    assert f"127.0.0.1:{unused_port}/x" in down.en
    stranger = _fails(
        good.set(username="no_such_role", password="hunter2").render_as_string(hide_password=False)
    )
    assert isinstance(stranger, Refused)
    assert "login" in stranger.en
    with pytest.raises(Refused, match="LEISHU_DATABASE_URL"):
        Database("mysql://u:hunter2@h/x")
    with pytest.raises(Refused, match="LEISHU_DATABASE_URL"):
        Database("not a url")


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_a_broken_rule_names_the_constraint_and_no_value(database: Database) -> None:
    with pytest.raises(Refused, match="things_words_key") as caught, database.transaction() as connection:  # noqa: PT012
        connection.execute(sa.text("ALTER TABLE things ADD UNIQUE (words)"))
        for _ in range(2):
            connection.execute(sa.text("INSERT INTO things (words) VALUES (:w)"), {"w": "secret"})
    assert "secret" not in told(caught.value)


def test_a_lost_connection_is_unavailable_and_the_next_transaction_works(database: Database) -> None:
    with pytest.raises(Unavailable), database.transaction() as connection:  # noqa: PT012
        pid = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with psycopg.connect(database._url.set(drivername="postgresql").render_as_string(False)) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (pid,))
        connection.execute(sa.text("SELECT 1"))
    database.ping()


def test_our_own_errors_pass_and_nothing_stands(database: Database) -> None:
    with pytest.raises(LeaseLost), database.transaction() as connection:  # noqa: PT012
        connection.execute(sa.text("INSERT INTO things (id) VALUES (1)"))
        raise LeaseLost("换人了", "someone else has it")
    assert read(database) == []


def test_a_statement_is_found_by_name() -> None:
    assert ":batch" in statement("mark_prior").text
    with pytest.raises(ValueError, match="named by its file"):
        statement("../settings")
