"""Two catalogs compared over what was sent and what is registered, and the signature on that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from catalog.errors import Blocked, NotAuthorised, Refused
from exchange.cli import impact as page
from exchange.impact import GateMove, Impact, RowMove
from exchange.whatif import CatalogDiff
from tests import desks, postgres
from tests.desks import Desk
from tests.sites import CONTRACT

NATION, COUNTY = f"nation.{CONTRACT}", f"county.{CONTRACT}"
CODES = ("A", "B", "C", "D")
SECRET = "王五甲"


@pytest.fixture(scope="module")
def desk(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Four records of a county, one of them entered there and without a contact, at all three sites."""
    with postgres.scratch(postgres_server) as url, desks.desk(tmp_path_factory.mktemp("whatif"), url) as made:
        places(made)
        for code in CODES:
            contact = None if code == "D" else SECRET
            division = "330683" if code != "C" else "330681"
            site = made.sites["county" if code != "C" else "city"]
            site.enter({"code": code, "division_code": division, "name": f"站{code}", "contact": contact})
        assert made.pump(3) == {}
        assert made.holders("A") == {"county", "city", "nation"}
        yield made


def places(desk: Desk) -> None:
    """What the county enters has a place, which nobody is given."""
    home = desk.settings.home
    for path, item in (
        (f"catalog/contracts/{CONTRACT}.yaml", {"name": "lon", "title": "经度", "type": "decimal", "precision": 9, "scale": 6}),
        (f"catalog/entries/{CONTRACT}.yaml", {"name": "lon", "share_type": "conditional"}),
    ):  # fmt: skip
        desk.declare(path, fields=[*yaml.safe_load((home / path).read_text())["fields"], item])
    path = f"mappings/{COUNTY}.out.yaml"
    desk.declare(
        path, fields={**yaml.safe_load((home / path).read_text())["fields"], "lon": {"value": "120.123456"}}
    )
    desk.hub.init()


@pytest.fixture
def new(desk: Desk, tmp_path: Path) -> Path:
    """A copy of the home, to change."""
    for name in ("catalog", "mappings", "routes", "quality"):
        shutil.copytree(desk.settings.home / name, tmp_path / "new" / name)
    shutil.copy(desk.settings.home / "node.yaml", tmp_path / "new" / "node.yaml")
    return tmp_path / "new"


def change(home: Path, path: str, **more: Any) -> None:
    file = home / path
    told = {n: v for n, v in {**yaml.safe_load(file.read_text()), **more}.items() if v is not None}
    file.write_text(yaml.safe_dump(told, allow_unicode=True))


def agreed(*fields: str, **masks: str) -> list[dict[str, str]]:
    return [{"name": n, **({"mask": masks[n]} if n in masks else {})} for n in fields]


def one(diff: CatalogDiff, route: str) -> Impact:
    (found,) = [i for i in diff.recipients if i.route == route]
    return found


def moves(impact: Impact) -> list[tuple[str, str, str, str, int]]:
    return [(f.field, f.before, f.after, f.gives, f.rows) for f in impact.fields]


def state(desk: Desk) -> list[Any]:
    """Everything that a look may not change."""
    counted = [
        desk.query(f"SELECT count(*) AS n FROM leishu.{t}")
        for t in ("entries", "batches", "movements", "holdings", "outbox", "cases", "revisions", "scans")
    ]  # fmt: skip
    keys = (desk.settings.var / "keys" / "keyring.json").read_text()
    return [counted, keys, sorted(p.name for p in (desk.settings.var / "staging").rglob("*"))]


def test_nothing_differs_between_a_home_and_its_copy(desk: Desk, new: Path) -> None:
    made = desk.hub.whatif.diff(".", str(new), replay=5, by="甲")
    assert (made.shapes, made.routes, made.recipients, made.problems) == ([], [], [], [])
    assert made.old_revision == made.new_revision


def test_a_mask_that_is_lifted_shows_as_more_and_in_how_many_records(desk: Desk, new: Path) -> None:
    change(
        new, f"catalog/agreements/{NATION}.yaml", fields=agreed("code", "division_code", "name", "contact")
    )
    before = state(desk)
    made = desk.hub.whatif.diff(".", str(new), replay=5, by="甲")
    assert state(desk) == before, "a look writes nothing"
    assert [m.route for m in made.routes] == [f"{NATION}.share"]
    found = one(made, f"{NATION}.share")
    assert moves(found) == [("contact", "masked", "sent", "more", 3)], "D has no contact"
    assert (found.replayed, found.register) == (RowMove(compared=4, both=4), RowMove(compared=4, both=4))
    assert (found.withdrawn, found.left, found.stops, found.waits) == (0, 0, None, None)
    back = one(desk.hub.whatif.diff(str(new), ".", replay=5, by="甲"), f"{NATION}.share")
    assert moves(back) == [("contact", "sent", "masked", "less", 3)]


def test_another_mask_is_neither_more_nor_less(desk: Desk, new: Path) -> None:
    fields = agreed("code", "division_code", "name", "contact", contact="hide")
    change(new, f"catalog/agreements/{NATION}.yaml", fields=fields)
    found = one(desk.hub.whatif.diff(".", str(new), replay=5, by="甲"), f"{NATION}.share")
    assert moves(found) == [("contact", "masked", "masked", "otherwise", 3)]
    assert (found.fields[0].before_mask, found.fields[0].after_mask) == ("keep_first", "hide")


def test_a_pseudonym_needs_no_key_of_the_recipient(desk: Desk, new: Path) -> None:
    fields = agreed("code", "division_code", "name", "contact", contact="pseudonym")
    change(new, f"catalog/agreements/{NATION}.yaml", fields=fields)
    before = state(desk)
    found = one(desk.hub.whatif.diff(".", str(new), replay=5, by="甲"), f"{NATION}.share")
    assert moves(found)[0][3:] == ("otherwise", 3)
    assert state(desk) == before, "nor is one made"


def test_a_field_that_the_mapping_leaves_behind_goes_nowhere(desk: Desk, new: Path) -> None:
    change(new, f"mappings/{NATION}.in.yaml", fields={c: c for c in ("code", "division_code", "name")})
    found = one(desk.hub.whatif.diff(".", str(new), replay=5, by="甲"), f"{NATION}.share")
    assert moves(found) == [("contact", "masked", "withheld", "less", 3)]


def test_a_narrower_scope_loses_rows_and_takes_copies_back(desk: Desk, new: Path) -> None:
    change(new, f"catalog/agreements/{NATION}.yaml", scope={"subtree": "330683"})
    found = one(desk.hub.whatif.diff(".", str(new), replay=5, by="甲"), f"{NATION}.share")
    assert moves(found) == []
    assert found.replayed == RowMove(compared=4, both=3, lost=1)
    assert found.register == RowMove(compared=4, both=3, lost=1)
    assert (found.withdrawn, found.left) == (1, 0)
    back = one(desk.hub.whatif.diff(str(new), ".", replay=5, by="甲"), f"{NATION}.share")
    assert (back.replayed, back.register) == (RowMove(compared=4, both=3, gained=1),) * 2
    assert back.withdrawn == 0


def test_what_a_platform_entered_itself_is_not_taken_back(desk: Desk, new: Path) -> None:
    change(new, "catalog/agreements/city.thing.yaml", scope={"subtree": "330683"})
    found = one(desk.hub.whatif.diff(".", str(new), by="甲"), "city.thing.share")
    assert (found.register.lost, found.withdrawn) == (1, 0), "C is the city's own"


def test_a_predicate_decides_by_the_record(desk: Desk, new: Path) -> None:
    scope = {"subtree": "000000", "where": {"field": "contact", "is_null": False}}
    change(new, f"catalog/agreements/{NATION}.yaml", scope=scope)
    found = one(desk.hub.whatif.diff(".", str(new), replay=5, by="甲"), f"{NATION}.share")
    assert (found.register.lost, found.replayed.lost, found.withdrawn) == (1, 1, 1)


def test_only_the_last_batches_are_tried(desk: Desk, new: Path) -> None:
    change(
        new, f"catalog/agreements/{NATION}.yaml", fields=agreed("code", "division_code", "name", "contact")
    )
    (last,) = desk.query(
        "SELECT count(*) AS n FROM leishu.movements WHERE op <> 'd' AND batch = "
        "(SELECT max(id) FROM leishu.batches WHERE route = %s)", f"{NATION}.share",
    )  # fmt: skip
    found = one(desk.hub.whatif.diff(".", str(new), replay=1, by="甲"), f"{NATION}.share")
    assert (found.batches, found.replayed.compared) == (1, last["n"])
    found = one(desk.hub.whatif.diff(".", str(new), replay=0, by="甲"), f"{NATION}.share")
    assert (found.batches, found.replayed.compared, found.register.compared) == (0, 0, 4)


def test_windows_change_no_number(desk: Desk, new: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(
        new,
        f"catalog/agreements/{NATION}.yaml",
        scope={"subtree": "330683"},
        fields=agreed("code", "division_code"),
    )
    whole = desk.hub.whatif.diff(".", str(new), replay=5, by="甲").recipients
    for window in (1, 3):
        monkeypatch.setattr("exchange.impact.WINDOW", window)
        assert desk.hub.whatif.diff(".", str(new), replay=5, by="甲").recipients == whole


def test_a_route_that_is_gone_leaves_its_copies_there(desk: Desk, new: Path) -> None:
    (new / "routes" / f"{NATION}.share.yaml").unlink()
    made = desk.hub.whatif.diff(".", str(new), replay=5, by="甲")
    found = one(made, f"{NATION}.share")
    assert (found.after, found.withdrawn, found.left) == (None, 0, 4)
    assert {f.gives for f in found.fields} == {"less"}
    assert page.notes(found)
    back = one(desk.hub.whatif.diff(str(new), ".", replay=5, by="甲"), f"{NATION}.share")
    assert (back.before, back.register) == (None, RowMove(compared=4, gained=4))
    assert {(f.before, f.gives) for f in back.fields} == {("withheld", "more")}


def test_terms_that_do_not_hold_are_told_with_what_they_wait_for(desk: Desk, new: Path) -> None:
    change(new, f"catalog/agreements/{NATION}.yaml", approval=None)
    found = one(desk.hub.whatif.diff(".", str(new), by="甲"), f"{NATION}.share")
    assert found.fields == []
    assert found.waits is not None
    assert "not applied for" in found.waits["en"]
    change(new, f"catalog/agreements/{NATION}.yaml", valid_to="2025-12-31")
    found = one(desk.hub.whatif.diff(".", str(new), replay=5, by="甲"), f"{NATION}.share")
    assert found.stops is not None
    assert (found.replayed.lost, found.left) == (4, 4)


def test_a_ceiling_and_a_gate_that_the_change_would_reach_are_told(desk: Desk, new: Path) -> None:
    path = f"catalog/agreements/{NATION}.yaml"
    change(new, path, scope={"subtree": "330681"})
    before = new.parent / "before"
    shutil.copytree(new, before)
    gate = {"fields": ["lon"], "decimals": 3, "records": 3, "where": {"field": "code", "ne": "B"}}
    change(new, path, scope={"subtree": "000000"}, fields=agreed("code", "division_code", "name", "lon"),
           ceilings=[{"rows": 2, "per": "day"}, {"rows": 3, "per": "term"}], gate=gate)  # fmt: skip
    found = one(desk.hub.whatif.diff(str(before), str(new), by="甲"), f"{NATION}.share")
    assert (found.register.gained, found.ceilings) == (3, {"day": 2, "term": 3})
    assert found.gate == GateMove(records=3, before=0, after=2), "B does not count, C has no place"
    (note,) = [n for n in page.notes(found) if "waits" in n or "等待" in n]
    assert "2" in note, "the ceiling of the term is not reached"
    change(new, path, gate={**gate, "records": 2})
    found = one(desk.hub.whatif.diff(str(before), str(new), by="甲"), f"{NATION}.share")
    assert [n for n in page.notes(found) if "release" in n or "放行" in n]


def test_a_contract_that_changes_names_whom_it_breaks_and_what_is_new(desk: Desk, new: Path) -> None:
    path = f"catalog/contracts/{CONTRACT}.yaml"
    fields = yaml.safe_load((new / path).read_text())["fields"]
    fields[3] |= {"name": "contact_name", "formerly": "contact"}
    fields.append(
        {"name": "phone", "title": "电话", "title_en": "Phone", "type": "phone", "sensitivity": "L2"}
    )
    change(new, path, fields=fields)
    made = desk.hub.whatif.diff(".", str(new), replay=5, by="甲")
    (shape,) = made.shapes
    assert [(c.kind, c.field, c.breaks) for c in shape.changes] == [
        ("field_renamed", "contact_name", "both"),
        ("field_added", "phone", None),
    ]
    named = {(u.kind, u.id, u.broken) for u in shape.changes[0].uses}
    assert named >= {("agreement", NATION, True), ("entry", CONTRACT, True), ("mapping", f"{COUNTY}.out", True),
                     ("layout", f"{NATION}.in", True), ("route", f"{NATION}.share", True), ("platform", "county", True)}  # fmt: skip
    assert ("mapping", f"{NATION}.out", True) not in named, "the nation's own does not read it"
    assert shape.changes[1].uses == []
    assert shape.problem is not None
    assert "2.0.0" in shape.problem["en"]
    assert made.problems, "who names a field that is gone does not run"
    change(new, path, version="2.0.0")
    for file in (
        f"catalog/entries/{CONTRACT}",
        *(f"catalog/agreements/{s}.{CONTRACT}" for s in ("city", "county", "nation")),
    ):
        text = (new / f"{file}.yaml").read_text().replace("name: contact", "name: contact_name")
        (new / f"{file}.yaml").write_text(text)
    for file in sorted((new / "mappings").glob("*.yaml")):
        text = file.read_text().replace("contact: contact", "contact: contact_name" if ".in." in file.name else "contact_name: contact")  # fmt: skip
        file.write_text(text)
    change(
        new,
        f"catalog/entries/{CONTRACT}.yaml",
        fields=agreed_entry("code", "division_code", "name", "contact_name", "phone"),
    )
    change(new, f"catalog/agreements/{NATION}.yaml",
           fields=agreed("code", "division_code", "name", "contact_name", "phone", contact_name="keep_first"))  # fmt: skip
    layout = yaml.safe_load((new / f"catalog/layouts/{NATION}.in.yaml").read_text())
    change(
        new,
        f"catalog/layouts/{NATION}.in.yaml",
        version="1.1.0",
        fields=[*layout["fields"], {"name": "phone", "title": "电话"}],
    )
    mapping = yaml.safe_load((new / f"mappings/{NATION}.in.yaml").read_text())
    change(new, f"mappings/{NATION}.in.yaml", fields={**mapping["fields"], "phone": "phone"})
    made = desk.hub.whatif.diff(".", str(new), replay=5, by="甲")
    assert (made.problems, [s.problem for s in made.shapes]) == ([], [None, None])
    assert moves(one(made, f"{NATION}.share")) == [("phone", "absent", "sent", "more", 0)], (
        "renamed is no more and no less"
    )
    assert moves(one(made, f"{COUNTY}.share")) == []


def agreed_entry(*fields: str) -> list[dict[str, str]]:
    return [{"name": n, "share_type": "conditional"} for n in fields]


def test_no_value_stands_in_what_is_told(desk: Desk, new: Path) -> None:
    change(
        new, f"catalog/agreements/{NATION}.yaml", fields=agreed("code", "division_code", "name", "contact")
    )
    made = desk.hub.whatif.diff(".", str(new), replay=5, by="甲")
    printed = page.page(made)
    for value in (SECRET, "站A", *desk.sites["county"].records):
        assert value not in repr(made)
        assert value not in printed
    assert "联系人" in printed
    assert made.seal in printed


# -- the signature


@pytest.fixture
def signing(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desks.desk(tmp_path / "signing", database_url) as made:
        made.declare("node.yaml", signed_changes=True)
        made.sites["county"].enter({"code": "A", "division_code": "330683", "name": "站", "contact": SECRET})
        yield made


def test_the_first_catalog_needs_a_signature_as_any_other(signing: Desk) -> None:
    failed = signing.pump(1)
    assert set(failed) == {f"{s}.{CONTRACT}.share" for s in ("city", "county", "nation")}
    for error in failed.values():
        assert isinstance(error, Blocked)
        assert "leishu catalog approve" in error.en
        assert "leishu catalog approve" in error.zh
    assert signing.holders() == {"county"}
    sign(signing)
    assert signing.pump() == {}
    assert signing.holders() == {"county", "city", "nation"}


def sign(desk: Desk, **given: Any) -> CatalogDiff:
    made = desk.hub.whatif.diff("signed", ".", replay=2, by="甲")
    desk.hub.whatif.approve(made, by="乙")
    return made


def test_a_change_that_nobody_signed_stops_its_own_route_alone(signing: Desk) -> None:
    sign(signing)
    assert signing.pump() == {}
    path = f"catalog/agreements/{NATION}.yaml"
    former = yaml.safe_load((signing.settings.home / path).read_text())
    signing.declare(path, fields=agreed("code", "division_code", "name", "contact"))
    signing.sites["county"].edit("county-A", name="新站")
    assert set(signing.pump()) == {f"{NATION}.share"}
    (record,) = signing.sites["nation"].records.values()
    assert (record["name"], record["contact"]) == ("站", "王**"), "neither the new terms nor the former ones"
    (record,) = signing.sites["city"].records.values()
    assert record["name"] == "新站"
    made = sign(signing)
    assert [m.route for m in made.routes] == [f"{NATION}.share"]
    assert moves(made.recipients[0])[0][:4] == ("contact", "masked", "sent", "more")
    assert signing.pump() == {}
    (record,) = signing.sites["nation"].records.values()
    assert (record["name"], record["contact"]) == ("新站", SECRET)
    signing.declare(path, fields=former["fields"])
    signing.sites["county"].edit("county-A", name="又新站")
    assert set(signing.pump()) == {f"{NATION}.share"}, "going back is a change like any other"
    facts = signing.entries("catalog_signed")
    assert [list(f["routes"]) for f in facts][1:] == [[f"{NATION}.share"]]
    assert {(f["by"], f["made_by"], f["right"]) for f in facts} == {("乙", "甲", "anyone")}


def test_a_batch_that_was_prepared_waits_too(signing: Desk) -> None:
    sign(signing)
    assert signing.hub.run([f"{COUNTY}.collect"]).failed == {}
    assert signing.hub.prepare([f"{NATION}.share"])
    signing.declare(f"catalog/agreements/{NATION}.yaml", purpose="另一用途")
    with pytest.raises(Blocked):
        signing.hub.deliver([f"{NATION}.share"])
    assert not signing.sites["nation"].records
    sign(signing)
    assert signing.pump() == {}
    assert len(signing.sites["nation"].records) == 1


def test_what_is_taken_back_needs_no_signature(signing: Desk) -> None:
    sign(signing)
    assert signing.pump() == {}
    signing.declare(f"catalog/agreements/{NATION}.yaml", purpose="另一用途")
    signing.hub.recalls.open("A", reason="撤", by="甲", amend=False)
    signing.hub.recalls.carry_on_all()
    assert not signing.sites["nation"].records


def test_who_may_sign_what(signing: Desk) -> None:
    desk, whatif = signing, signing.hub.whatif
    made = whatif.diff("signed", ".", by="甲")
    with pytest.raises(NotAuthorised, match=r"another|另一个人"):
        whatif.approve(made, by=" 甲")
    for forged in (
        replace(made, made_by="丙"),
        replace(made, recipients=[]),
        replace(made, routes=made.routes[:1]),
        replace(made, seal=""),
    ):
        with pytest.raises(Refused, match=r"did not make|不是本枢纽"):
            whatif.approve(forged, by="乙")
    desk.declare(f"catalog/agreements/{NATION}.yaml", purpose="另一用途")
    with pytest.raises(Refused, match=r"home in use|现用"):
        whatif.approve(made, by="乙")
    here = whatif.diff(".", ".", by="甲")
    with pytest.raises(Refused, match=r"nothing to sign|没有要签核"):
        whatif.approve(here, by="乙")
    made = whatif.diff("signed", ".", by="甲")
    desk.declare("node.yaml", approvers=[{"name": "丁", "routes": [f"{NATION}.share"]}, {"name": "戊"}])
    with pytest.raises(NotAuthorised):
        whatif.approve(made, by="乙")
    with pytest.raises(NotAuthorised):
        whatif.approve(made, by="丁")
    assert whatif.approve(made, by="戊").right == "approver"
    with pytest.raises(Refused, match=r"signed last|上次签核"):
        whatif.approve(made, by="戊")
    assert len(desk.entries("catalog_signed")) == 1


def test_what_was_printed_as_json_is_what_is_signed(
    signing: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from exchange.cli import display, impact_outputs

    made = signing.hub.whatif.diff("signed", ".", replay=3, by="甲")
    file = tmp_path / "diff.json"
    file.write_text(display.json_text(impact_outputs.CatalogDiffed(diff=made)), encoding="utf-8")
    given = page.read(str(file))
    assert signing.hub.whatif.approve(given, by="乙").seal == made.seal
    file.write_text(json.dumps({"diff": {}}))
    with pytest.raises(Exception, match="catalog diff"):
        page.read(str(file))


def test_a_home_that_asks_for_no_signature_needs_none(desk: Desk) -> None:
    assert not desk.stores.declarations.node.signed_changes
    assert not desk.query("SELECT * FROM leishu.signatures")
