"""After work that went well and work that failed, no name, phone or ID number stands where it must not."""

from __future__ import annotations

import io
import json
import logging
import shutil
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import sql

from connectors.credentials import LocalCredentials
from demo import acts
from demo.platforms import tables
from demo.platforms.columns import CONTRACTS
from tests import hubs
from tests.hubs import Pumped, Scene, one_round

UNIT, PERSON, REPORT = CONTRACTS


@contextmanager
def listening() -> Iterator[io.StringIO]:
    """Everything that anyone logs, at DEBUG, with the traces of errors."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What was done, and what was said meanwhile."""

    scene: Scene
    log: str
    errors: list[str]
    personal: frozenset[str]


@pytest.fixture(scope="module")
def worked(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worked]:
    """A first load with broken rows, then failures of many kinds, each with personal values at hand."""
    folder = tmp_path_factory.mktemp("leaks")
    with listening() as log, hubs.scene(postgres_server, folder, seed=61) as scene:
        world, handles, failed = scene.world, scene.handles, Pumped()
        work(scene, failed)
        persons = world.sound("shengzhou", PERSON)

        # The city's database refuses what it is sent, and its message repeats the row.
        with closing(tables.connect(handles.databases["shaoxing"])) as connection:
            connection.execute(
                "CREATE FUNCTION grumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " RAISE EXCEPTION 'not this row: %', NEW USING DETAIL = NEW::text, HINT = NEW::text; END $$"
            )
            connection.execute(
                "CREATE TRIGGER grumbled BEFORE UPDATE ON lps_inspector FOR EACH ROW EXECUTE FUNCTION grumble()"
            )
        acts.edit(handles, "shengzhou", PERSON, persons["foreign_key"][0], title_major="雷电防护")
        work(scene, failed)
        assert f"shaoxing.{PERSON}.share" in failed.failed
        with closing(tables.connect(handles.databases["shaoxing"])) as connection:
            connection.execute("DROP TRIGGER grumbled ON lps_inspector")

        # Files without a header, cut, and in another encoding; the nation answers nothing of use; no login.
        out = handles.deqing / "files" / "out"
        for n, person in enumerate(world.sound("deqing", PERSON)["foreign_key"][:3]):
            there = set(out.glob("*.csv"))
            acts.edit(handles, "deqing", PERSON, person, title_major=f"电气{n}")
            (path,) = set(out.glob("*.csv")) - there
            data = path.read_bytes()
            path.write_bytes([data.partition(b"\n")[2], data[:-40], data.decode("gbk").encode("utf-8")][n])
        units = world.sound("shengzhou", UNIT)["foreign_key"]
        for key in units[:22]:  # above the tolerance
            acts.edit(handles, "shengzhou", UNIT, key, site_no="A1")
        acts.edit(
            handles, "shaoxing", UNIT, world.sound("shaoxing", UNIT)["foreign_key"][0], op_address="某路口"
        )
        work(scene, failed)
        wrong = folder / "wrong"
        shutil.copytree(handles.credentials, wrong)
        for path in wrong.glob("*.json"):
            data = json.loads(path.read_text(encoding="utf-8"))
            data |= {"password": "wrong", "login": data["login"] + "x"}
            path.write_text(json.dumps(data), encoding="utf-8")
            path.chmod(0o600)
        with scene.again(credentials=LocalCredentials(folder=wrong)) as hub:
            one_round(hub, failed, settle=True)
            for platform in hubs.PLATFORMS:
                hub.test(platform)
        work(scene, failed)
        said = world.personal
        yield Worked(
            scene=scene,
            log=log.getvalue(),
            errors=["".join(traceback.format_exception(e)) + repr(e) for e in failed.failed.values()],
            personal=frozenset(v for v in said.names | said.phones | said.id_numbers if v),
        )


def work(scene: Scene, failed: Pumped) -> None:
    failed.failed |= scene.pump().failed


def found(text: str, values: frozenset[str]) -> int:
    """How many of the values stand in the text. The values themselves are told to nobody."""
    return sum(v in text for v in values)


def test_the_world_has_something_to_leak(worked: Worked) -> None:
    said = worked.scene.world.personal
    assert min(len(said.names), len(said.phones), len(said.id_numbers)) >= 20
    everything = str(worked.scene.holds("shengzhou"))
    assert found(everything, worked.personal) > 50, "the scan finds what is there"


def test_logs_and_errors_hold_none(worked: Worked) -> None:
    assert len(worked.errors) >= 6
    assert len(worked.log) > 1000, "much was logged"
    assert found(worked.log, worked.personal) == 0
    assert found(" ".join(worked.errors), worked.personal) == 0


def test_what_people_are_shown_holds_none(worked: Worked) -> None:
    hub = worked.scene.hub
    uids = [r["uid"] for r in worked.scene.query("SELECT DISTINCT uid FROM leishu.movements")]
    shown: list[Any] = [
        hub.status(), hub.batches(limit=1000), hub.statement(), hub.refusals(), hub.cases(),
        hub.quarantined(limit=1000), hub.platforms(), hub.problems(),
        *(hub.trace(str(uid)) for uid in uids[:40]),
        *(hub.explain(str(uid), p) for uid in uids[:10] for p in hubs.PLATFORMS),
    ]  # fmt: skip
    assert found(repr(shown), worked.personal) == 0
    assert any(r.words for r in hub.status())


def test_no_table_of_the_hub_but_the_register_holds_any(worked: Worked) -> None:
    """As text, as bytes and as the bytes' hex."""
    values = worked.personal | {v.encode().hex() for v in worked.personal}
    values |= {json.dumps(v).strip('"') for v in worked.personal}  # as JSON escapes it
    names = [
        r["name"]
        for r in worked.scene.query(
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'leishu'"
        )
    ]
    assert len(names) > 12
    for name in names:
        rows = worked.scene.query(f'SELECT t::text AS row FROM leishu."{name}" t')
        assert found("\n".join(r["row"] for r in rows), frozenset(values)) == 0, name
    assert len(worked.scene.query("SELECT 1 FROM leishu.quarantine")) >= len(worked.scene.world.labels)


def test_the_register_holds_no_identity_number(worked: Worked) -> None:
    numbers = frozenset(v for v in worked.scene.world.personal.id_numbers if v)
    numbers |= {n.encode().hex() for n in numbers}
    for schema, name in [
        (r["s"], r["n"])
        for r in worked.scene.query(
            "SELECT table_schema AS s, table_name AS n FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        )
    ]:
        rows = worked.scene.query(f'SELECT t::text AS row FROM "{schema}"."{name}" t')
        assert found("\n".join(r["row"] for r in rows), numbers) == 0, f"{schema}.{name}"


def test_no_file_of_the_hub_holds_any(worked: Worked) -> None:
    """Staging, witness, keys; and the platforms' own logs."""
    var = worked.scene.settings.var
    values = [v.encode(code) for v in worked.personal for code in ("utf-8", "gbk", "utf-16-le")]
    read = 0
    for folder in (var / "staging", var / "witness", var / "keys", *(var / "platforms").glob("*.log")):
        for path in [folder, *folder.rglob("*")]:
            if path.is_file():
                data = path.read_bytes()
                read += 1
                assert sum(v in data for v in values) == 0, path.relative_to(var)
    assert read > 20
    assert list((var / "staging").rglob("*"))


def test_the_databases_of_others_hold_what_they_may(worked: Worked) -> None:
    """No ID number at the nation, whatever it was sent, refused or put by."""
    numbers = frozenset(v for v in worked.scene.world.personal.id_numbers if v)
    with psycopg.connect(worked.scene.handles.databases["national"]) as connection:
        for name in ("records", "batches"):
            query = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            rows = connection.execute(query).fetchall()
            assert rows
            assert found("\n".join(r[0] for r in rows), numbers) == 0
