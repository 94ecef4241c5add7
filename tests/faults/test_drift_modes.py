"""F19, the four modes: what came and was not declared stops, is left out, is quarantined or proposed, as the table says."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml

from catalog.contract import Layout
from catalog.errors import Blocked, LeishuError, Refused, Unreadable
from catalog.shape import Field
from connectors.csvfile import Dialect, Sheet, decode, enveloped
from connectors.records import arrow_rows
from connectors.seam import Extraction, Slice
from exchange.batch import Counts
from exchange.rework import rows_as_read
from exchange.settings import ROOT
from tests import desks, postgres
from tests.desks import Desk
from tests.faults.test_drift import CHANGES, GOES
from tests.sites import CONTRACT, Site

ROUTE = f"county.{CONTRACT}.collect"
MODES = ("freeze", "discard_value", "discard_row", "evolve")
PAGE = ROOT / "docs" / "howto" / "change-the-catalog.md"
SECRET = "不该登记的值"
FILE, FEED, TABLE = "文件 file", "接口 feed", "数据库表 table"
MORE, UNFIT, RENAMED = (
    "多一列 a column more",
    "值不合类型 a value that does not fit",
    "列改名 a column renamed",
)


def table() -> dict[tuple[str, str, str], str]:
    """(source, change, mode): the outcome's word, as the page has it."""
    text = PAGE.read_text(encoding="utf-8")
    head, *rows = [
        [c.strip().strip("`") for c in line.strip("|").split("|")]
        for line in re.findall(r"^\|.*$", text[text.index('<a id="drift">') :], flags=re.M)
        if not set(line) <= set("|-")
    ]
    assert head[2:] == list(MODES)
    return {(r[0], r[1], mode): r[2 + i].split()[-1] for r in rows for i, mode in enumerate(MODES)}


TABLE_OF_MODES = table()


@dataclass
class Door:
    """What one source says page by page."""

    site: Drifting
    layout: Layout

    def extract(self, slice: Slice) -> Extraction:
        at = int(slice.cursor or 0)
        page = self.site.pages[at] if at < len(self.site.pages) else None
        if page is None:
            return Extraction(batches=iter(()), cursor=lambda: slice.cursor, more=lambda: False, ordered=True)
        if self.site.file:
            sheet = Sheet(name=f"{at}.csv", owner="县", resume=str(at + 1))
            names = list(dict.fromkeys(n for r in page for n in r))
            text = "".join(
                ",".join(str(v) for v in row) + "\n"
                for row in (names, *([r.get(n, "") for n in names] for r in page))
            )
            parts = decode(
                io.BytesIO(text.encode()), self.layout, Dialect(), sheet, batch_rows=2, rest=slice.rest
            )
            batches = (enveloped(b, self.layout, sheet) for b in parts)
        else:
            items = [{"key": r["key"], "op": "u", "version": None, "record": r} for r in page]
            one = arrow_rows(items, self.layout, self._garbled, rest=slice.rest)
            batches = (one.slice(i, 2) for i in range(0, one.num_rows, 2))
        return Extraction(
            batches=batches, cursor=lambda: str(at + 1), more=lambda: False, ordered=not self.site.file
        )

    @staticmethod
    def _garbled(what: str) -> Unreadable:
        return Unreadable(f"接口 {what} 不符合约定", f"{what} is not what was agreed")

    def acknowledge(self, cursor: str) -> None:
        """Nothing is kept."""


@dataclass(kw_only=True)
class Drifting(Site):
    """A site that gives pages of its own making, as a file or as a feed of records."""

    file: bool
    pages: list[list[dict[str, Any]]] = field(default_factory=list)

    def source(self, layout: Layout) -> Any:
        return Door(self, layout)


@pytest.fixture(scope="module", params=[FILE, FEED])
def desk(request: pytest.FixtureRequest, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:  # fmt: skip
    folder = tmp_path_factory.mktemp("modes")
    with postgres.scratch(postgres_server) as url, desks.desk(folder, url) as made:
        file = request.param == FILE
        made.sites["county"] = Drifting(name="county", echo=False, file=file)
        home = made.settings.home
        contract = yaml.safe_load((home / f"catalog/contracts/{CONTRACT}.yaml").read_text())
        number = {"name": "n", "title": "数", "type": "integer", "sensitivity": "L1"}
        made.declare(f"catalog/contracts/{CONTRACT}.yaml", fields=[*contract["fields"], number])
        layout = yaml.safe_load((home / f"catalog/layouts/county.{CONTRACT}.out.yaml").read_text())
        column = {"name": "n", "title": "数", "type": "string" if file else "integer"}
        made.declare(f"catalog/layouts/county.{CONTRACT}.out.yaml", fields=[*layout["fields"], column])
        mapping = yaml.safe_load((home / f"mappings/county.{CONTRACT}.out.yaml").read_text())
        made.declare(f"mappings/county.{CONTRACT}.out.yaml", fields={**mapping["fields"], "n": "n"})
        made.hub.init()
        yield made


def records(tag: str, change: str) -> list[dict[str, Any]]:
    """Five records of which the second and the last are otherwise."""
    made: list[dict[str, Any]] = []
    for i in range(5):
        row = {
            "key": f"{tag}{i}",
            "code": f"{tag}{i}",
            "division_code": "330683",
            "name": "站",
            "contact": "王",
            "n": i,
        }
        if change == RENAMED:
            row["title"] = row.pop("name")
        elif i in (1, 4) and change == MORE:
            row["备注"] = SECRET
        elif i in (1, 4) and change == UNFIT:
            row["n"] = SECRET
        made.append(row)
    return made


def source(desk: Desk) -> tuple[Drifting, str]:
    site = desk.sites["county"]
    assert isinstance(site, Drifting)
    return site, FILE if site.file else FEED


def collect(desk: Desk, mode: str, page: list[dict[str, Any]]) -> dict[str, LeishuError]:
    site, _ = source(desk)
    desk.declare(f"routes/{ROUTE}.yaml", drift=mode, tolerance={"share": 0.9, "floor": 20})
    site.pages.append(page)
    return desk.hub.run([ROUTE]).failed


def outcome(desk: Desk, tag: str, failed: dict[str, LeishuError], change: str) -> str:
    """In the table's words, from what is in the register, the quarantine and the cases; the equation closes."""
    site, _ = source(desk)
    rows = desk.query("SELECT code, name, n FROM register.thing WHERE code LIKE %s ORDER BY code", f"{tag}%")
    (batch, *_) = desk.hub.batches(route=ROUTE, limit=1)
    if failed:
        assert rows == []
        site.pages.pop()
        return "stops"
    if batch.state == "set_aside":
        assert (rows, batch.counts) == ([], {})
        return "aside"
    counts = Counts.from_dict(batch.counts)
    assert counts.closes()
    assert counts.read == 5
    assert batch.state == "closed"
    kept = [r.reasons for r in desk.hub.quarantined(route=ROUTE, limit=500) if r.batch == batch.id]
    said = desk.entries("batch_closed")[-1].get("left_out", {})
    name = "备注" if change == MORE else "n"
    if counts.quarantined:
        assert [r["code"] for r in rows] == [f"{tag}{i}" for i in (0, 2, 3)]
        assert len(kept) == 2
        assert {r["rule"] for reasons in kept for r in reasons} <= {"undeclared", "unfit", "number"}
        return "quarantined"
    assert [r["code"] for r in rows] == [f"{tag}{i}" for i in range(5)]
    assert {r["name"] for r in rows} == {"站"}
    assert [r["n"] for r in rows] == [i if change == MORE or i not in (1, 4) else None for i in range(5)]
    assert said == {name: 2}
    proposed = desk.hub.whatif.proposed(ROUTE)
    assert proposed is not None
    types = {f["name"]: f.get("type", "string") for f in yaml.safe_load(proposed)["fields"]}
    assert types[name] == "string"
    return "proposed" if batch_mode(desk) == "evolve" else "left-out"


def batch_mode(desk: Desk) -> str:
    return desk.stores.declarations.ways[ROUTE].route.drift


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("change", [MORE, UNFIT, RENAMED])
def test_the_table_says_what_happens(desk: Desk, change: str, mode: str) -> None:
    _, kind = source(desk)
    tag = f"{mode[:3]}{mode[-3:]}{[MORE, UNFIT, RENAMED].index(change)}x"
    failed = collect(desk, mode, records(tag, change))
    assert outcome(desk, tag, failed, change) == TABLE_OF_MODES[kind, change, mode]
    assert SECRET not in json.dumps([desk.query("SELECT facts::text AS t FROM leishu.cases"),
                                     desk.query("SELECT facts::text AS t FROM leishu.entries"),
                                     desk.query("SELECT to_jsonb(t)::text AS t FROM register.thing t")], ensure_ascii=False)  # fmt: skip
    for error in failed.values():
        assert SECRET not in error.zh + error.en
    sound = f"{tag}s"
    assert collect(desk, mode, records(sound, "")) == {}, "what is sound goes on"
    assert len(desk.query("SELECT 1 FROM register.thing WHERE code LIKE %s", f"{sound}%")) == 5


def test_a_table_is_asked_for_declared_columns_alone() -> None:
    """Whatever the mode: tests/faults/test_drift.py alters one in twenty ways."""
    assert {TABLE_OF_MODES[TABLE, MORE, mode] for mode in MODES} == {"unread"}
    assert CHANGES["a column more"][1] == GOES


def test_a_person_is_told_once_and_the_count_goes_on(desk: Desk) -> None:
    desk.query("DELETE FROM leishu.cases WHERE kind = 'drift'")
    for i in range(3):
        assert collect(desk, "evolve", records(f"once{i}", MORE)) == {}
    cases = desk.query("SELECT state, facts FROM leishu.cases WHERE kind = 'drift'")
    assert [(c["state"], c["facts"]["columns"]) for c in cases] == [("open", {"备注": 6})]
    (status,) = [r for r in desk.hub.status() if r.route == ROUTE]
    assert status.left_out == {"备注": 6}
    desk.query("UPDATE leishu.cases SET state = 'closed' WHERE kind = 'drift'")
    assert collect(desk, "evolve", records("again", MORE)) == {}
    assert len(desk.query("SELECT 1 FROM leishu.cases WHERE kind = 'drift'")) == 1, (
        "a person has seen this column"
    )


def test_an_accepted_layout_takes_the_column_and_ends_the_case(desk: Desk) -> None:
    desk.query("DELETE FROM leishu.cases WHERE kind = 'drift'")
    assert collect(desk, "evolve", records("accept", MORE)) == {}
    text = desk.hub.whatif.proposed(ROUTE)
    assert text is not None
    made = yaml.safe_load(text)
    assert (made["version"], made["fields"][-1]) == (
        "1.1.0",
        {"name": "备注", "title": "备注", "sensitivity": "L3", "source": "A"},
    )
    path = f"catalog/layouts/county.{CONTRACT}.out.yaml"
    former = (desk.settings.home / path).read_text()
    (desk.settings.home / path).write_text(text)
    desk.reread()
    assert desk.hub.problems() == ()
    try:
        page = [{**r, "备注": r.get("备注", "")} for r in records("known", MORE)]
        assert collect(desk, "freeze", page) == {}, "it is declared now; no mapping takes it further"
        assert desk.query("SELECT state FROM leishu.cases WHERE kind = 'drift'") == [{"state": "closed"}]
        assert desk.hub.whatif.proposed(ROUTE) is None
    finally:
        (desk.settings.home / path).write_text(former)
        desk.reread()


def test_a_quarantined_row_keeps_its_value_for_the_day_it_is_declared(desk: Desk) -> None:
    _, kind = source(desk)
    change = MORE if kind == FILE else UNFIT
    assert collect(desk, "discard_row", records("later", change)) == {}
    row = next(
        r
        for r in desk.hub.quarantined(route=ROUTE, limit=500)
        if r.reasons[0]["rule"] in ("undeclared", "unfit")
    )
    shown = desk.hub.quarantined_row(row.id)
    assert shown is not None
    layout = desk.stores.declarations.ways[ROUTE].layout
    column = "备注" if change == MORE else "n"
    if change == MORE:
        declared = replace(layout, fields=(*layout.fields, Field(name=column, title=column)))
        assert rows_as_read([shown], declared).column(column).to_pylist() == [SECRET]
        assert column not in rows_as_read([shown], layout).schema.names
    else:
        with pytest.raises(Refused) as error:
            rows_as_read([shown], layout)
        assert SECRET not in error.value.zh + error.value.en
        assert rows_as_read([{**shown, column: 7}], layout).column(column).to_pylist() == [7]


def test_a_page_staged_under_another_mode_is_blocked_with_the_cure(desk: Desk) -> None:
    site, _ = source(desk)
    desk.declare(f"routes/{ROUTE}.yaml", drift="evolve")
    site.pages.append(records("staged", MORE))
    assert desk.hub.fetch([ROUTE])
    desk.declare(f"routes/{ROUTE}.yaml", drift="freeze")
    with pytest.raises(Blocked) as error:
        desk.hub.close([ROUTE])
    assert "备注" in error.value.zh
    assert "drift" in error.value.zh
    assert SECRET not in error.value.zh + error.value.en
    desk.declare(f"routes/{ROUTE}.yaml", drift="discard_row")
    assert desk.hub.close([ROUTE])[ROUTE]["quarantined"] == 2
