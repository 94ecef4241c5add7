"""F19: a platform's table changes its form: what was agreed and is gone fails its own routes, with a clear word."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from demo.platforms.columns import CONTRACTS
from tests import hubs
from tests.faults import doses
from tests.faults.test_backfill import CITY
from tests.hubs import Pumped, Scene, one_round

UNIT, TABLE = CONTRACTS[0], "lps_key_unit"
FAILS, GOES = "fails", "goes"


def alter(what: str) -> str:
    return f"ALTER TABLE {TABLE} {what}"


def typed(column: str, to: str, back: str) -> tuple[str, str]:
    return (
        alter(f"ALTER COLUMN {column} TYPE {to} USING {column}::{to}"),
        alter(f"ALTER COLUMN {column} TYPE {back} USING {column}::{back}"),
    )


# what the platform did, how it is undone, what becomes of reading it
CHANGES: dict[str, tuple[tuple[str, str], str]] = {
    "a column more": ((alter("ADD COLUMN extra text"), alter("DROP COLUMN extra")), GOES),
    "a required column more": (
        (alter("ADD COLUMN extra int NOT NULL DEFAULT 1"), alter("DROP COLUMN extra")),
        GOES,
    ),
    "a column of the same name in capitals": (
        (alter('ADD COLUMN "NAME" text'), alter('DROP COLUMN "NAME"')),
        GOES,
    ),
    "a column renamed": ((alter("RENAME COLUMN name TO title"), alter("RENAME COLUMN title TO name")), FAILS),
    "a column renamed to capitals": (
        (alter('RENAME COLUMN name TO "Name"'), alter('RENAME COLUMN "Name" TO name')),
        FAILS,
    ),
    "two columns exchanged": (
        (
            alter("RENAME COLUMN reg_addr TO x")
            + ";"
            + alter("RENAME COLUMN area_year TO reg_addr")
            + ";"
            + alter("RENAME COLUMN x TO area_year"),
            alter("RENAME COLUMN reg_addr TO x")
            + ";"
            + alter("RENAME COLUMN area_year TO reg_addr")
            + ";"
            + alter("RENAME COLUMN x TO area_year"),
        ),
        FAILS,
    ),
    "the key renamed": ((alter("RENAME COLUMN id TO no"), alter("RENAME COLUMN no TO id")), FAILS),
    "the change time renamed": (
        (alter("RENAME COLUMN updated_at TO at"), alter("RENAME COLUMN at TO updated_at")),
        FAILS,
    ),
    "a text of a bounded length": (typed("name", "varchar(300)", "text"), GOES),
    "a number as text": (typed("cycle_months", "text", "bigint"), GOES),
    "a number with decimals": (typed("cycle_months", "numeric", "bigint"), GOES),
    "a smaller number": (typed("cycle_months", "integer", "bigint"), GOES),
    "a decimal as a float": (typed("longitude", "double precision", "numeric(9,6)"), GOES),
    "a decimal as text": (typed("longitude", "text", "numeric(9,6)"), GOES),
    "a truth as text": (typed("explosive", "text", "boolean"), GOES),
    "a truth as a number": (typed("explosive", "integer", "boolean"), GOES),
    "an instant without a zone": (
        (
            alter("ALTER COLUMN risk_time TYPE timestamp USING risk_time AT TIME ZONE 'Asia/Shanghai'"),
            alter("ALTER COLUMN risk_time TYPE timestamptz USING risk_time AT TIME ZONE 'Asia/Shanghai'"),
        ),
        GOES,
    ),
    "a text as a list": (
        (
            alter("ALTER COLUMN name TYPE text[] USING ARRAY[name]"),
            alter("ALTER COLUMN name TYPE text USING name[1]"),
        ),
        FAILS,
    ),
    "a text as bytes": (
        (
            alter("ALTER COLUMN name TYPE bytea USING convert_to(name, 'UTF8')"),
            alter("ALTER COLUMN name TYPE text USING convert_from(name, 'UTF8')"),
        ),
        FAILS,
    ),
    "the table renamed": ((alter("RENAME TO elsewhere"), f"ALTER TABLE elsewhere RENAME TO {TABLE}"), FAILS),
}


@pytest.fixture(scope="module")
def scene(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("drift"), seed=19) as made:
        assert made.pump().failed == {}
        yield made


def at_the_city(scene: Scene, statements: str) -> None:
    with psycopg.connect(scene.handles.databases[CITY]) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statements.encode())


@pytest.mark.parametrize("change", CHANGES)
def test_a_table_that_changed_its_form(scene: Scene, change: str) -> None:
    (do, undo), becomes = CHANGES[change]
    before, done = hubs.state(scene), Pumped()
    quarantined = len(scene.hub.quarantined(limit=10_000))
    at_the_city(scene, do)
    try:
        at_the_city(scene, "SELECT 1")
        if change != "the table renamed" and change != "the change time renamed":
            at_the_city(scene, f"UPDATE {TABLE} SET updated_at = now()")  # everything is told anew
        one_round(scene.hub, done, settle=False)
    finally:
        at_the_city(scene, undo)
    assert done.failed.keys() <= {f"{CITY}.{UNIT}.collect", f"{CITY}.{UNIT}.share"}, "no other route"
    assert (f"{CITY}.{UNIT}.collect" in done.failed) == (becomes == FAILS), done.failed
    for error in done.failed.values():
        assert error.zh
        assert error.en
    assert scene.pump().failed == {}
    assert hubs.state(scene) == before, "not one value is another"
    broken = sum((b.platform, b.contract) == (CITY, UNIT) for b in scene.world.labels)
    assert len(scene.hub.quarantined(limit=10_000)) <= quarantined + 2 * broken, (
        "those that were broken before"
    )
    doses.outcome("F19", f"{change}, mode freeze", f"it {becomes}; nothing else changed")
