"""F7, F10-F13: repeated and reordered feeds, clocks that are wrong, races with deletes, rings, habits that differ."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange import declarations
from exchange.batch import DAYS
from exchange.hub import Hub
from tests import postgres, sites
from tests.faults import doses
from tests.property.test_exchange_laws import ROUTES, Ground, World, sound
from tests.sites import CONTRACT, SITES, Site, Sites

CITY, COUNTY, NATION = (f"{s}.{CONTRACT}" for s in ("city", "county", "nation"))
CYCLE = [*ROUTES["collect"], *ROUTES["share"]]
MINUTE = timedelta(minutes=1)


@contextmanager
def told_by(server: str, folder: Path, **layout: Any) -> Iterator[Ground]:
    """A ground where each site says with each change when it was made (``at``) and as its how-manieth (``seq``)."""
    home = sites.home(folder / "home")
    for name in SITES:
        path = home / "catalog" / "layouts" / f"{name}.{CONTRACT}.out.yaml"
        words = yaml.safe_load(path.read_text(encoding="utf-8"))
        words["fields"] += [{"name": "seq", "title": "序"}, {"name": "at", "title": "时"}]
        path.write_text(yaml.safe_dump({**words, **layout}, allow_unicode=True), encoding="utf-8")
    assert declarations.read(home, Sites(sites.fresh())).problems == ()
    with postgres.scratch(server) as url:
        ground = Ground(home=home, url=url)
        stores = ground.stores(sites.fresh())
        try:
            Hub(stores).init()
        finally:
            stores.close()
        yield ground


@pytest.fixture(scope="module")
def numbered(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with told_by(postgres_server, tmp_path_factory.mktemp("numbered"), sequence="seq") as ground:
        yield ground


@pytest.fixture(scope="module")
def timed(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with told_by(postgres_server, tmp_path_factory.mktemp("timed"), changed_at="at") as ground:
        yield ground


@pytest.fixture(scope="module")
def ground(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with told_by(postgres_server, tmp_path_factory.mktemp("plain")) as ground:
        yield ground


def thing(code: str, name: str, contact: str | None = "王五") -> sites.Values:
    return {"code": code, "division_code": "330683", "name": name, "contact": contact}


def rest(world: World, cycles: int) -> int:
    """Cycles of every route until one changes nothing; how many changed something."""
    for n in range(cycles + 1):
        before = world.steady()
        failed = world.hub.run(CYCLE).failed
        assert not failed, failed
        if world.steady() == before:
            return n
    raise AssertionError(f"not at rest after {cycles} cycles")


def applied(world: World) -> int:
    return sum(s.writes for s in world.sites.values())


# -- F7


def test_repeated_and_shuffled_updates_end_as_the_last_of_each_key(numbered: Ground) -> None:
    draw = random.Random(doses.seed())
    shuffles, updates, keys = doses.dose((2, 600, 60), (20, 10_000, 500))
    for _ in range(shuffles):
        model: dict[str, tuple[int, str]] = {}
        rows: list[dict[str, Any]] = []
        for n in range(updates):
            code = f"K{draw.randrange(keys)}"
            values = thing(code, f"v{n}")
            model[code] = (n, f"v{n}")
            own = {"key": f"county-{code}", "_key": f"county-{code}", "_op": "u", "_version": None,
                   "_origin": None, "_hops": 0}  # fmt: skip
            rows.append({**values, **own, "seq": str(n), "at": None})
        rows += draw.sample(rows, updates // 5)
        draw.shuffle(rows)
        with numbered.world() as world:
            feed, cut = world.sites["county"].feed, 0
            while cut < len(rows):  # told in parts of any size, so that old ones come in later batches
                part = rows[cut : cut + draw.randrange(1, len(rows) // 3)]
                cut += len(part)
                feed += part
                world.hub.run(CYCLE)
            rest(world, 4)
            wanted = {code: name for code, (_, name) in model.items()}
            assert {r[0]: r[5] for r in world.register()} == wanted
            for name in ("city", "nation"):
                assert {c: r["name"] for c, r in world.held()[name].items()} == wanted, name
            assert all(r.closes and r.settled for r in world.hub.statement())
    doses.outcome(
        "F7",
        f"{updates:,} updates of {keys} keys and a fifth of them again, {shuffles} shuffles",
        "every end equals the model's at the source's two recipients",
    )


# -- F10


def said_at(site: Site, at: datetime | str) -> None:
    """The last change of the site was made then, by its own clock."""
    site.feed[-1] |= {
        "seq": None,
        "at": at if isinstance(at, str) else f"{at.astimezone(DAYS):%Y-%m-%d %H:%M:%S}",
    }


SKEWS = {
    "slow by 10 min": -10 * MINUTE,
    "right": 0 * MINUTE,
    "fast by 9 min": 9 * MINUTE,
    "an hour behind, as summer time ends": -60 * MINUTE,
    "a year behind": timedelta(days=-365),
}


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("first", ["city", "nation"])
def test_a_clock_that_is_wrong_decides_nothing(timed: Ground, skew: str, first: str) -> None:
    """The county's clock is wrong. City and nation change one field at once: authority decides, however they are told.

    What loses is kept as a movement; an edit made in step is never lost, whatever the clock says.
    """
    off = SKEWS[skew]
    with timed.world() as world:
        county, city, nation = (world.sites[s] for s in ("county", "city", "nation"))
        now = datetime.now(UTC).replace(microsecond=0)
        county.enter(thing("A", "1"))
        said_at(county, now + off)
        rest(world, 6)
        # in step: no contest, so it counts, though the clock that it is stamped by is behind the register's
        county.edit("county-A", name="2")
        said_at(county, now + off + MINUTE / 60)
        rest(world, 6)
        assert {n: s.records[s.key("A") or ""]["name"] for n, s in world.sites.items()} == dict.fromkeys(
            SITES, "2"
        )
        # at once, the city's word with a clock that is fast and the nation's with one that is slow
        for site, name, clock in ((city, "city", 9 * MINUTE), (nation, "nation", off)):
            site.edit(site.key("A") or "", name=name)
            said_at(site, now + clock)
        world.hub.run([f"{first}.{CONTRACT}.collect"])
        rest(world, 8)
        assert {n: s.records[s.key("A") or ""]["name"] for n, s in world.sites.items()} == dict.fromkeys(
            SITES, "nation"
        )
        told = world.query(
            f"SELECT 1 FROM register.{CONTRACT}_history WHERE name = 'city' UNION SELECT 1 FROM leishu.movements m"
            " JOIN leishu.batches b ON b.id = m.batch WHERE b.platform = 'city' AND b.direction = 'collect'"
            " AND m.state IN ('superseded', 'merged')"
        )
        assert told, "what the city said left no trace"
        stamps = [s for (s,) in world.query(
            f"SELECT stamp FROM (SELECT version, stamp FROM register.{CONTRACT} UNION"
            f" SELECT version, stamp FROM register.{CONTRACT}_history) v ORDER BY version"
        )]  # fmt: skip
        assert stamps == sorted(set(stamps)), "stamps grow with versions"
        sound(world)
    doses.outcome(
        "F10", f"county's clock {skew}, {first} read first", "the higher authority's word, none lost silently"
    )


@pytest.mark.parametrize("far", ["2999-01-01 00:00:00", "soon"])
def test_a_state_from_the_future_is_refused_and_spoils_nothing(timed: Ground, far: str) -> None:
    with timed.world() as world:
        county = world.sites["county"]
        county.enter(thing("A", "1"))
        said_at(county, datetime.now(UTC))
        rest(world, 6)
        county.edit("county-A", name="2999")
        said_at(county, far if far != "soon" else datetime.now(UTC) + 11 * MINUTE)
        county.enter(thing("B", "1"))
        said_at(county, datetime.now(UTC))
        rest(world, 6)
        assert [[r["rule"] for r in q.reasons] for q in world.hub.quarantined()] == [["clock_ahead"]]
        assert {r[0]: r[5] for r in world.register()} == {"A": "1", "B": "1"}
        county.edit("county-A", name="mended")
        said_at(county, datetime.now(UTC))
        rest(world, 6)
        assert {n: s.records[s.key("A") or ""]["name"] for n, s in world.sites.items()} == dict.fromkeys(
            SITES, "mended"
        )
    doses.outcome("F10", f"a state of {far}", "quarantined as clock_ahead; the next sound one counts")


# -- F11


def test_deletes_race_updates(ground: Ground) -> None:
    """Pairs of a delete and an update of one record at two sites, told in both orders."""
    draw, pairs = random.Random(doses.seed()), doses.dose(30, 1000)
    with ground.world() as world:
        county, nation = world.sites["county"], world.sites["nation"]
        for n in range(pairs):
            county.enter(thing(f"D{n}", "1"))
        rest(world, 6)
        cycles, gone, kept = 0, set(), set()
        for start in range(0, pairs, 50):
            for n in range(start, min(start + 50, pairs)):
                code = f"D{n}"
                deletes, edits = (county, nation) if n % 2 else (nation, county)
                deletes.remove(deletes.key(code) or "")
                edits.edit(edits.key(code) or "", name="2")
                # the nation's word decides over the county's, the delete's as the edit's
                (kept if deletes is county else gone).add(code)
            first = draw.sample(["county", "nation"], 2)
            world.hub.run([f"{s}.{CONTRACT}.collect" for s in first])
            cycles = max(cycles, rest(world, 3))
        live = {r[0] for r in world.register() if r[2] != "d"}
        for name, found in world.held().items():
            assert found.keys() == live, f"{name} did not converge"
        assert not gone & live, "resurrected"
        rose = world.query(f"SELECT code FROM register.{CONTRACT}_history WHERE op = 'd'")
        assert rose == [], "a tombstone was followed by a version"
        told = world.query(
            "SELECT count(*) FROM leishu.movements m JOIN leishu.batches b ON b.id = m.batch"
            " WHERE b.direction = 'collect' AND m.state IN ('superseded', 'conflicted')"
        )[0][0]
        assert told >= len(kept - live), "whatever lost is told"
        sound(world)
    doses.outcome(
        "F11",
        f"{pairs} pairs, either one first",
        f"0 resurrections, {len(live)} kept, at rest in {cycles} cycles at the most",
    )


# -- F12


def test_a_ring_settles_in_the_writes_that_it_needs(ground: Ground) -> None:
    edits, draw = doses.dose(40, 1000), random.Random(doses.seed())
    with ground.world() as world:
        keys = min(edits, 100)
        for n in range(keys):
            world.sites["county"].enter(thing(f"R{n}", "0"))
        rest(world, 6)
        begun = applied(world)
        for start in range(0, edits, keys):
            for n in range(start, min(start + keys, edits)):
                site = world.sites[draw.choice(sorted(SITES))]
                site.edit(site.key(f"R{n % keys}") or "", name=f"e{n}")
            rest(world, 4)
        assert applied(world) - begun == 2 * edits, "two writes for each edit: one at each of the others"
        before = (world.steady(), applied(world))
        for _ in range(5):
            world.hub.run(CYCLE)
        assert (world.steady(), applied(world)) == before
        sound(world)
    doses.outcome(
        "F12", f"{edits:,} edits in a ring of three", f"{2 * edits:,} writes, 0 in the next 5 cycles"
    )


# -- F13

Way = Callable[[str], str]
TEXT = "2026-11-01 a(x)"
HABITS: dict[str, tuple[str, Way, Way]] = {  # a value, how the city writes it, how the nation writes it
    "trailing space": (TEXT, lambda v: v.rstrip() + " ", str.rstrip),
    "leading space": (TEXT, lambda v: " " + v.lstrip(), str.lstrip),
    "ideographic space": (TEXT, lambda v: v.replace(" ", "\u3000"), lambda v: v.replace("\u3000", " ")),
    "upper case": (TEXT, str.upper, str.lower),
    "full-width digits": (
        TEXT,
        lambda v: v.translate({48 + d: 0xFF10 + d for d in range(10)}),
        lambda v: v.translate({0xFF10 + d: 48 + d for d in range(10)}),
    ),
    "another form of date": (TEXT, lambda v: v.replace("-", "/"), lambda v: v.replace("/", "-")),
    "cut at 8": (TEXT, lambda v: v[:8], lambda v: v.ljust(12, "x")),
    "a padded number": ("42", lambda v: v.rjust(8, "0"), lambda v: v.lstrip("0")),
    "a word for nothing": ("无", lambda v: v.replace("无", "NULL"), lambda v: v.replace("NULL", "无")),
    "brackets": (
        TEXT,
        lambda v: v.replace("(", "（").replace(")", "）"),
        lambda v: v.replace("（", "(").replace("）", ")"),
    ),
}


@pytest.mark.parametrize("habit", HABITS)
def test_two_that_write_a_field_differently_are_braked_and_named(ground: Ground, habit: str) -> None:
    value, do, undo = HABITS[habit]
    assert undo(do(value)) != do(value)
    turns = undo(do(value)).strip() != do(value).strip()  # spaces at the ends are trimmed as they come in
    with ground.world() as world:
        world.sites["city"].writes_as, world.sites["nation"].writes_as = {"name": do}, {"name": undo}
        for code in "AB":
            world.sites["county"].enter(thing(code, value))
        rest(world, 12)
        quiet, writes = (world.steady(), applied(world)), applied(world)
        for _ in range(5):
            world.hub.run(CYCLE)
        assert (world.steady(), applied(world)) == quiet, "it began again"
        assert writes - 4 <= 6, "the first delivery to both, then three writes of each at the most"
        found = [c for c in world.hub.conflicts.listed() if c.kind == "loop"]
        assert len(found) == (2 if turns else 0), "one case for each record"
        assert {f.field for c in found for f in c.fields} == ({"name"} if turns else set()), "the field"
        assert {c.platform for c in found} <= {"city", "nation"}
        assert world.hub.verify(None) == []
    said = f"braked after {writes - 4} writes more than the first, the field and the two named"
    doses.outcome("F13", f"{habit}, 2 records", said if turns else "no difference to the hub: no loop")
