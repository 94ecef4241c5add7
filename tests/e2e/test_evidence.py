"""The ledger proves what was done: whoever alters it is found, and the quick tables can be made anew from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from catalog.errors import LedgerError
from demo import acts
from demo.platforms.columns import CONTRACTS
from tests import hubs
from tests.hubs import Scene

UNIT = CONTRACTS[0]


@pytest.fixture(scope="module")
def scene(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A first load, a correction, a delete and a refusal later on."""
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("evidence"), seed=71) as made:
        assert made.pump().failed == {}
        world = made.world
        acts.correct(
            made.handles,
            UNIT,
            next(iter(made.rows("national", UNIT)))["unit_code"] or "",
            industry_code="5266",
        )
        acts.delete(
            made.handles, "deqing", CONTRACTS[2], world.sound("deqing", CONTRACTS[2])["foreign_key"][0]
        )
        assert made.pump().failed == {}
        yield made


@contextmanager
def altered(scene: Scene, table: str, *statements: str) -> Iterator[None]:
    """Somebody with the right to write has been at the database; afterwards all is as it was."""
    assert scene.settings.url is not None
    with psycopg.connect(scene.settings.url) as connection:
        connection.execute(f"CREATE TABLE kept AS TABLE leishu.{table}".encode())
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount >= 1, statement
    try:
        yield
    finally:
        with psycopg.connect(scene.settings.url) as connection:
            connection.execute(f"DELETE FROM leishu.{table}".encode())
            connection.execute(f"INSERT INTO leishu.{table} SELECT * FROM kept".encode())
            connection.execute("DROP TABLE kept")


EDITED = (
    "UPDATE leishu.entries SET facts = jsonb_set(facts, '{counts,registered}', '1') WHERE position ="
    " (SELECT min(position) FROM leishu.entries WHERE kind = 'batch_closed')"
)
REMOVED = "DELETE FROM leishu.entries WHERE position = 5"
CUT = "DELETE FROM leishu.entries WHERE position > (SELECT position - 3 FROM leishu.head)"


@pytest.mark.parametrize("kind, statement", [("edited", EDITED), ("removed", REMOVED), ("truncated", CUT)])
def test_whoever_alters_the_ledger_is_found_and_the_exchange_stops(
    scene: Scene, kind: str, statement: str
) -> None:
    assert scene.hub.verify(None) == []
    with altered(scene, "entries", statement):
        (broken, *_) = scene.hub.verify(None)
        assert broken.kind == kind
        assert broken.position > 0
        assert broken.zh
        assert broken.en
        with pytest.raises(LedgerError):
            scene.hub.maintain()
    assert scene.hub.verify(None) == []


def test_a_tail_cut_off_with_its_head_is_found_by_the_witness_alone(scene: Scene, tmp_path: Path) -> None:
    """Inside the database nothing is wrong then; the file outside knows how long the ledger was."""
    copy = tmp_path / "witness.txt"  # kept elsewhere
    shutil.copy(scene.settings.var / "witness" / "ledger.txt", copy)
    head = (
        "UPDATE leishu.head SET (position, hash) = (SELECT e.position, e.hash FROM leishu.entries e"
        " WHERE e.position = leishu.head.position - 3)"
    )
    with altered(scene, "head", head), altered_entries(scene):
        assert scene.hub.verify(copy)[0].kind in ("truncated", "rolled_back")
        empty = tmp_path / "empty.txt"
        empty.touch()
        assert scene.hub.verify(empty) == [], "without the witness it would pass"
    assert scene.hub.verify(copy) == []


@contextmanager
def altered_entries(scene: Scene) -> Iterator[None]:
    assert scene.settings.url is not None
    with psycopg.connect(scene.settings.url) as connection:
        connection.execute("CREATE TABLE kept_entries AS TABLE leishu.entries")
        connection.execute("DELETE FROM leishu.entries WHERE position > (SELECT position FROM leishu.head)")
    try:
        yield
    finally:
        with psycopg.connect(scene.settings.url) as connection:
            connection.execute("DELETE FROM leishu.entries")
            connection.execute("INSERT INTO leishu.entries SELECT * FROM kept_entries")
            connection.execute("DROP TABLE kept_entries")


def test_tables_that_were_altered_are_made_anew(scene: Scene) -> None:
    """Holdings lost, changed and invented, and a cursor moved: counted, then as they were."""
    assert scene.settings.url is not None
    before = tables(scene)
    assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
    with psycopg.connect(scene.settings.url) as connection:
        connection.execute(
            "DELETE FROM leishu.holdings WHERE (platform, uid) IN"
            " (SELECT platform, uid FROM leishu.holdings WHERE platform = 'national' ORDER BY uid LIMIT 2)"
        )
        connection.execute(
            "UPDATE leishu.holdings SET version = version + 5 WHERE (platform, uid) IN"
            " (SELECT platform, uid FROM leishu.holdings WHERE platform = 'shaoxing' ORDER BY uid LIMIT 3)"
        )
        connection.execute(
            "INSERT INTO leishu.holdings (platform, contract, uid, version, fields, state, batch)"
            " SELECT 'deqing', contract, uid, 1, fields, 'held', batch FROM leishu.holdings"
            " WHERE platform = 'shengzhou' ORDER BY uid LIMIT 1"
        )
        connection.execute("UPDATE leishu.cursors SET cursor = '0' WHERE route = 'national.key_unit.collect'")
    assert tables(scene) != before
    assert scene.hub.rebuild(check=True) == {"holdings": 6, "cursors": 1, "links": 0, "standings": 0}
    assert tables(scene) != before, "a check alone changes nothing"
    assert scene.hub.rebuild(check=False) == {"holdings": 6, "cursors": 1, "links": 0, "standings": 0}
    assert tables(scene) == before
    steady = (scene.writes(), scene.entries())
    assert scene.pump().counts == []
    assert (scene.writes(), scene.entries()) == steady


def tables(scene: Scene) -> list[object]:
    """The tables that answer quickly."""
    return [
        scene.query(
            "SELECT platform, contract, uid, version, own_version, fields, digest, state FROM leishu.holdings"
            " ORDER BY platform, contract, uid"
        ),
        scene.query("SELECT * FROM leishu.cursors ORDER BY route"),
    ]
