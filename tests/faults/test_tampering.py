"""F22: whoever alters the ledger is found, at the first entry that is not what it was; so is a witness taken away."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from sqlalchemy import Connection, text

from exchange import ledger
from exchange.cli import main
from exchange.hub import Hub
from exchange.ledger import Entry
from exchange.settings import Settings
from tests import postgres
from tests.faults import doses, places

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
Dealt = tuple[int, str]  # the first entry that is not what it was, and how it must be called ("": any)


class Undone(Exception):
    """The trial is over."""


@pytest.fixture(scope="module")
def settings(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with postgres.scratch(postgres_server) as url:
        yield Settings(home=places.home(tmp_path_factory.mktemp("ledger") / "home"), url=url)


@pytest.fixture(scope="module")
def hub(settings: Settings) -> Iterator[Hub]:
    """A hub whose ledger has grown by one to three entries at a time."""
    draw = random.Random(1)
    with Hub.open(settings) as opened:
        opened.init()
        assert opened.verify(None) == []
        for n in range(16):
            close(opened, n, draw.randint(1, 3))
        assert opened.verify(None) == []
        yield opened


def close(hub: Hub, n: int, size: int) -> None:
    stores = hub._stores
    with stores.leased("tampering") as token:
        with stores.closing("tampering", token, batch=None, at=AT) as (_, entries):
            entries += [
                Entry(
                    kind="batch_closed", subject=f"b{n}.{i}", facts={"counts": {"read": n, "registered": i}}
                )
                for i in range(size)
            ]


def kinds(hub: Hub) -> dict[str, Callable[[Connection, random.Random, int, list[int]], Dealt]]:
    """What somebody with the right to write does, and where it must be found: by hand, the chain not asked."""
    key = hub._stores.key("ledger", AT)

    def edit_value(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        n = draw.randint(1, top)
        run(
            c,
            "UPDATE leishu.entries SET facts = jsonb_set(facts, '{counts,read}', '999') WHERE position = :n",
            n=n,
        )
        return n, "edited"

    def edit_row(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        n = draw.randint(1, top)
        run(c, "UPDATE leishu.entries SET kind = 'batch_settled', subject = 'other', facts = '{}',"
               " at = at - interval '1 day' WHERE position = :n", n=n)  # fmt: skip
        return n, "edited"

    def delete_middle(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        n = draw.randint(1, top - 1)
        run(c, "DELETE FROM leishu.entries WHERE position = :n", n=n)
        if draw.random() < 0.5:  # and close the ranks
            shift(c, n + 1, -1)
            run(c, "UPDATE leishu.head SET position = position - 1")
        return n, "removed"

    def insert(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        n = draw.randint(1, top)
        shift(c, n, 1)
        run(c, "UPDATE leishu.head SET position = position + 1")
        run(c, "INSERT INTO leishu.entries SELECT :n, at, kind, 'forged', facts, prev, :hash FROM leishu.entries"
               " WHERE position = :after", n=n, after=n + 1, hash=draw.randbytes(32))  # fmt: skip
        return n, "inserted"

    def swap(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        n, m = sorted(draw.sample(range(1, top + 1), 2))
        for a, b in ((n, -1), (m, n), (-1, m)):
            run(c, "UPDATE leishu.entries SET position = :b WHERE position = :a", a=a, b=b)
        return n, "reordered"

    def truncate_tail(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        n = draw.randint(0, top - 1)
        cut(c, n)
        return n + 1, "rolled_back"  # from the database alone nothing is wrong: the witness tells

    def roll_back(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        """An old backup, and the hub went on from there."""
        n = draw.randint(0, top - 1)
        cut(c, n)
        more = draw.randint(1, 40)
        for i in range(more):
            made = Entry(kind="batch_closed", subject=f"new{i}", facts={"draw": draw.randint(0, 9)})
            ledger.append(c, [made], at=AT, batch=None, key=key)
        after = [p for p in seen if p > n]
        return (after[0] if after[0] <= n + more else n + more + 1), "rolled_back"

    def compute_anew(c: Connection, draw: random.Random, top: int, seen: list[int]) -> Dealt:
        """The chain made anew from an edited entry on: without the key, or by somebody who has it."""
        n, insider = draw.randint(1, top), draw.random() < 0.5
        run(
            c,
            "UPDATE leishu.entries SET facts = jsonb_set(facts, '{counts,read}', '999') WHERE position = :n",
            n=n,
        )
        blank = hmac.HMAC(key if insider else draw.randbytes(32), hashes.SM3())
        rows = c.execute(text("SELECT * FROM leishu.entries WHERE position >= :n ORDER BY 1"), {"n": n}).all()
        prev = bytes(rows[0].prev)
        for row in rows:
            link = ledger._link(blank, prev, ledger._body(row), row.position)
            run(c, "UPDATE leishu.entries SET prev = :prev, hash = :hash WHERE position = :n",
                prev=prev, hash=link, n=row.position)  # fmt: skip
            prev = link
        run(c, "UPDATE leishu.head SET hash = :hash", hash=prev)
        return (next(p for p in seen if p >= n), "rolled_back") if insider else (n, "edited")

    tried = (edit_value, edit_row, delete_middle, insert, swap, truncate_tail, roll_back, compute_anew)
    return {f.__name__: f for f in tried}


def run(connection: Connection, statement: str, **values: object) -> None:
    assert connection.execute(text(statement), values).rowcount >= 1, statement


def shift(connection: Connection, first: int, by: int) -> None:
    for step in (1_000_000, by - 1_000_000):
        begin = first if step > 0 else 1_000_000
        connection.execute(
            text("UPDATE leishu.entries SET position = position + :by WHERE position >= :n"),
            {"by": step, "n": begin},
        )


def cut(connection: Connection, n: int) -> None:
    run(connection, "DELETE FROM leishu.entries WHERE position > :n", n=n)
    query = text("SELECT hash FROM leishu.entries WHERE position = :n")
    last = connection.execute(query, {"n": n}).scalar_one_or_none()
    run(connection, "UPDATE leishu.head SET position = :n, hash = :hash", n=n, hash=last or ledger.GENESIS)


NAMES = (
    "edit_value",
    "edit_row",
    "delete_middle",
    "insert",
    "swap",
    "truncate_tail",
    "roll_back",
    "compute_anew",
)


def tampered(hub: Hub, name: str, draw: random.Random) -> None:
    """One trial: done, looked for, undone."""
    stores = hub._stores
    seen = stores.witness.read()
    marks = sorted(p for p, _ in seen if p)
    key = stores.key("ledger", AT)
    with suppress(Undone):
        with stores.database.transaction() as connection:
            before = ledger.upto(connection)
            first, kind = kinds(hub)[name](connection, draw, before, marks)
            breaks = ledger.verify(connection, key, seen)
            assert len(breaks) == 1, f"{name} at {first} of {before}: not found"
            assert breaks[0].position == first, f"{name}: {breaks[0].en}"
            assert breaks[0].kind == kind, f"{name}: {breaks[0].en}"
            raise Undone


@pytest.mark.parametrize("name", NAMES)
def test_tampering_is_found_at_its_first_entry(hub: Hub, name: str) -> None:
    draw, trials = random.Random(f"{doses.seed()} {name}"), doses.dose(4, 100)
    for _ in range(trials):
        tampered(hub, name, draw)
    doses.outcome("F22", f"{name} × {trials}", f"{trials} found, first bad entry named each time")


def test_the_command_finds_it_offline_against_a_copy_of_the_witness(
    hub: Hub,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``leishu ledger verify --witness``, once a kind, over what was really committed."""
    monkeypatch.setenv("LEISHU_HOME", str(settings.home))
    monkeypatch.setenv("LEISHU_DATABASE_URL", str(settings.url))
    copy = tmp_path / "elsewhere.txt"
    shutil.copy(settings.var / "witness" / "ledger.txt", copy)
    marks = sorted(p for p, _ in hub._stores.witness.read() if p)
    command = ["ledger", "verify", "--witness", str(copy)]
    assert main(command) == 0
    draw = random.Random(doses.seed())
    for name in NAMES if doses.full() else draw.sample(NAMES, 2):
        with hub._stores.database.transaction() as connection:
            for table in ("entries", "head"):
                connection.execute(text(f"CREATE TABLE kept_{table} AS TABLE leishu.{table}"))
            first, _ = kinds(hub)[name](connection, draw, ledger.upto(connection), marks)
        capsys.readouterr()
        assert main(command) == 5, name
        assert f"entry {first}" in capsys.readouterr().out
        with hub._stores.database.transaction() as connection:
            for table in ("entries", "head"):
                connection.execute(text(f"TRUNCATE leishu.{table}"))
                connection.execute(text(f"INSERT INTO leishu.{table} TABLE kept_{table}"))
                connection.execute(text(f"DROP TABLE kept_{table}"))
    assert main(command) == 0


def test_a_witness_taken_away_is_told_and_goes_on_being_told(postgres_server: str, tmp_path: Path) -> None:
    with postgres.scratch(postgres_server) as url:
        settings = Settings(home=places.home(tmp_path / "home"), url=url)
        with Hub.open(settings) as hub:
            hub.init()
            assert hub.verify(None) == []
            for n in range(3):
                close(hub, n, 2)
            witness = hub._stores.witness.path
            copy = shutil.copy(witness, tmp_path / "elsewhere.txt")
            assert hub.verify(None) == []

            witness.unlink()
            assert [b.kind for b in hub.verify(None)] == ["unwitnessed"]
            close(hub, 3, 2)  # begins it anew, but not from the first entry
            assert witness.exists()
            assert [b.kind for b in hub.verify(None)] == ["unwitnessed"]
            hub.init()
            assert [b.kind for b in hub.verify(None)] == ["unwitnessed"]
            assert hub.verify(Path(copy)) == [], "the copy agrees as far as it goes"

            witness.write_bytes(Path(copy).read_bytes() + witness.read_bytes())
            assert hub.verify(None) == []
            witness.write_bytes(b"")
            assert [b.kind for b in hub.verify(None)] == ["unwitnessed"], "emptied"
            with psycopg.connect(url) as connection:
                connection.execute("DELETE FROM leishu.entries")
                connection.execute(
                    "UPDATE leishu.head SET position = 0, hash = decode(repeat('00', 32), 'hex')"
                )
            witness.unlink()
            assert hub.verify(Path(copy))[0].position == 1, "all of it cut off"
    doses.outcome("F22", "the witness file deleted, emptied, begun anew", "told each time")
