"""A wrong declaration is named by file and line and disables what names it; what is sound still runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from catalog.errors import DeclarationError
from demo.platforms.columns import CONTRACTS
from exchange import hub as hubs_door
from exchange.hub import Hub
from exchange.settings import Settings
from tests import hubs, postgres
from tests.hubs import PLATFORMS, Scene

UNIT, PERSON, REPORT = CONTRACTS
EVERY = {f"{p}.{c}.{way}" for p in PLATFORMS for c in CONTRACTS for way in ("collect", "share")}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return hubs.home(tmp_path)


@pytest.fixture(scope="module")
def url(postgres_server: str) -> Iterator[str]:
    with postgres.scratch(postgres_server) as made:
        yield made


def swap(path: Path, old: str, new: str) -> int:
    """Replaces one text of a file; the line where it stands."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {path.name}"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


COUNTIES = {f"deqing.{UNIT}.share", f"shengzhou.{UNIT}.share"}
# what is written wrong: (file, old, new, routes that it disables)
WRONG = {
    "yaml": (f"catalog/agreements/national.{UNIT}.yaml", "entry: key_unit", "entry: [key_unit", {f"national.{UNIT}.share"}),
    "unknown key": (f"catalog/agreements/shaoxing.{REPORT}.yaml", "recipient: shaoxing", "reciever: shaoxing", {f"shaoxing.{REPORT}.share"}),
    "unknown level": (f"catalog/agreements/counties.{UNIT}.yaml", "levels: [county]", "levels: [village]", COUNTIES),
    "unknown department": (f"catalog/agreements/counties.{UNIT}.yaml", "levels: [county]", "departments: [无此局]", COUNTIES),
    "a class of nobody": (f"catalog/agreements/counties.{UNIT}.yaml", 'subtree: "330000"', 'subtree: "340000"', COUNTIES),
    "a class and one": (f"catalog/agreements/counties.{UNIT}.yaml", "recipients:", "recipient: deqing\nrecipients:", COUNTIES),
    "a retired division": (f"catalog/agreements/shaoxing.{UNIT}.yaml", 'subtree: "330600"', 'subtree: "330621"', {f"shaoxing.{UNIT}.share"}),
    "a recipient that is none": (f"catalog/agreements/national.{UNIT}.yaml", "recipient: national", "recipient: nation", {f"national.{UNIT}.share"}),
    "another purpose": (f"routes/deqing.{UNIT}.share.yaml", "agreement:", "purpose: 他用\nagreement:", {f"deqing.{UNIT}.share"}),
    "unknown field": (f"catalog/agreements/shaoxing.{UNIT}.yaml", "{name: lon}", "{name: longitude}", {f"shaoxing.{UNIT}.share"}),
    "no basis": (
        f"catalog/agreements/shaoxing.{PERSON}.yaml",
        ', legal_basis: "雷电防护装置检测资质管理办法(从业人员核查),市级资质监管必需"', "", {f"shaoxing.{PERSON}.share"},
    ),
    "layout": (f"catalog/layouts/shengzhou.{UNIT}.out.yaml", "resource:", "resorce:", {f"shengzhou.{UNIT}.collect"}),
    "mapping": (f"mappings/deqing.{PERSON}.out.yaml", f"target: {PERSON}", "target: person", {f"deqing.{PERSON}.collect"}),
    "route": (f"routes/national.{REPORT}.collect.yaml", f"suite: {REPORT}", "suite: no_such_suite", {f"national.{REPORT}.collect"}),
    "platform": ("catalog/platforms/deqing.yaml", "kind: sftp", "kind: ftp", {r for r in EVERY if r.startswith("deqing.")}),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_named_with_its_line_and_disables_what_names_it(
    what: str, home: Path, url: str
) -> None:
    name, old, new, disabled = WRONG[what]
    line = swap(home / name, old, new)
    problems = hubs_door.problems(home)  # without a database: what leishu check and the DAG files ask
    assert problems
    assert (name, line) in {(p.file, p.line) for p in problems} or {p.file for p in problems} & {
        name,
        *(f"routes/{r}.yaml" for r in disabled),
    }, problems
    assert all(p.zh and p.en and p.line > 0 for p in problems), problems
    with Hub.open(Settings(home=home, url=url)) as hub:
        hub.init()
        assert hub.problems() == problems
        assert {*hub.routes("collect"), *hub.routes("share")} == EVERY - disabled
        status = {r.route: r for r in hub.status()}
        assert {r for r, row in status.items() if row.outcome == "disabled"} == disabled
        for route in disabled:
            words = status[route].words
            assert words is not None
            assert any(f"{p.file}:{p.line}" in words["en"] for p in problems)
            with pytest.raises(DeclarationError):
                hub.fetch([route]) if route.endswith("collect") else hub.prepare([route])


def test_all_problems_are_named_at_once(home: Path) -> None:
    lines = {}
    for what in ("yaml", "unknown key", "unknown field", "layout"):
        name, old, new, _ = WRONG[what]
        lines[name] = swap(home / name, old, new)
    found = {(p.file, p.line) for p in hubs_door.problems(home)}
    assert {name for name, _ in found} >= lines.keys()
    unknown = f"catalog/agreements/shaoxing.{REPORT}.yaml"
    assert (unknown, lines[unknown]) in found


def test_what_is_sound_still_runs(postgres_server: str, tmp_path: Path) -> None:
    """An agreement that is broken denies: its platform gets nothing of that contract, all else arrives."""
    with hubs.scene(postgres_server, tmp_path, seed=51) as scene:
        for name in (f"national.{UNIT}", f"shaoxing.{REPORT}"):
            swap(scene.settings.home / "catalog" / "agreements" / f"{name}.yaml", "recipient:", "recipiant:")
        with scene.again() as hub:
            lame = Scene(hub=hub, handles=scene.handles, settings=scene.settings)
            assert lame.pump().failed == {}
            for platform in PLATFORMS:
                for contract in CONTRACTS:
                    own, sent = hubs.expected(scene.world, platform, contract)
                    denied = (platform, contract) in {("national", UNIT), ("shaoxing", REPORT)}
                    wanted = len(own) + (0 if denied else len(sent))
                    assert len(scene.rows(platform, contract)) == wanted, f"{platform} {contract}"
        # Mended, it goes on with what it had left undone, and with that alone.
        for name in (f"national.{UNIT}", f"shaoxing.{REPORT}"):
            swap(scene.settings.home / "catalog" / "agreements" / f"{name}.yaml", "recipiant:", "recipient:")
        assert scene.pump().failed == {}
        for platform in PLATFORMS:
            for contract in CONTRACTS:
                own, sent = hubs.expected(scene.world, platform, contract)
                assert len(scene.rows(platform, contract)) == len(own) + len(sent)
        assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}


def test_an_agreement_decides_at_the_moment_of_sending(postgres_server: str, tmp_path: Path) -> None:
    """Prepared under an agreement that is narrowed before it is sent: nothing goes out as it was prepared.

    Narrowed, then as it was, the same records are selected anew each time, though none has changed.
    """
    with hubs.scene(postgres_server, tmp_path, seed=52) as scene:
        scene.hub.run(scene.hub.routes("collect"))
        route, sent = f"national.{UNIT}.share", hubs.expected(scene.world, "national", UNIT)[1]
        agreement = scene.settings.home / "catalog" / "agreements" / f"national.{UNIT}.yaml"
        mapping = scene.settings.home / "mappings" / f"national.{UNIT}.in.yaml"
        files = {agreement: "- {name: legal_rep_name}\n", mapping: "  legalRepName: legal_rep_name\n"}
        whole = {path: path.read_text(encoding="utf-8") for path in files}
        (batch,) = scene.hub.prepare([route])
        for path, line in files.items():
            swap(path, line, "")
        with scene.again() as hub:
            assert hub.problems() == ()
            hub.deliver([route])
            assert {b.id: b.state for b in hub.batches(route=route)}[batch] == "cancelled"
            narrowed = Scene(hub=hub, handles=scene.handles, settings=scene.settings)
            assert narrowed.pump().failed == {}
        assert members(scene, "legalRepName") == 0
        got = {r["unit_code"]: r for r in scene.rows("national", UNIT)}
        assert got.keys() == sent.keys()
        for path, text in whole.items():
            path.write_text(text, encoding="utf-8")
        assert scene.pump().failed == {}
        assert members(scene, "legalRepName") == len(sent)
        got = {r["unit_code"]: r["legal_rep_name"] for r in scene.rows("national", UNIT)}
        assert got == {key: row["legal_rep_name"] for key, row in sent.items()}
        assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
        assert scene.pump().counts == []


def members(scene: Scene, name: str) -> int:
    """How many of the nation's records have a member of that name."""
    with psycopg.connect(scene.handles.databases["national"]) as connection:
        return len(connection.execute("SELECT 1 FROM records WHERE data ? %s", [name]).fetchall())
