"""Profiles: what is seen of some data, which rules are proposed of it, and what an acceptance makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from catalog import declaration, envelope
from catalog.contract import Contract
from catalog.errors import DeclarationError, Refused, Unavailable, Unreadable
from catalog.shape import Field
from exchange.cli import main
from exchange.settings import ROOT
from quality import draft, profile_terms
from quality.gx.reference import shipped_known
from quality.profile import asking, of_batches
from quality.propose import Proposal, Proposed, Unproposed, propose, wilson
from quality.showing import Seen
from quality.suite import parse
from tests import desks
from tests.desks import Desk

KNOWN = shipped_known(date(2026, 11, 26))
TERMS = profile_terms.shipped()
AT = datetime(2026, 11, 26, tzinfo=UTC)
COLLECT, SHARE = "county.thing.collect", "county.thing.share"
Main = Callable[..., tuple[int, Any]]


def batch(**columns: Any) -> pa.RecordBatch:
    given = {n: v if isinstance(v, pa.Array) else pa.array(v) for n, v in columns.items()}
    rows = len(next(iter(given.values())))
    head = {
        envelope.ROW: pa.array(range(rows), pa.int64()),
        envelope.OP: pa.array(["i"] * rows, pa.string()),
    }
    return pa.RecordBatch.from_pydict({**head, **given})


def proposed(given: pa.RecordBatch, **how: Any) -> Proposed:
    asked = asking(given.schema, TERMS, KNOWN, **how)
    return propose(of_batches([given], asked), asked)


def rule(found: Proposed, id: str) -> Proposal:
    (one,) = (p for p in found.proposals if p.id == id)
    return one


def near(found: Proposed, name: str) -> list[Unproposed]:
    return [u for u in found.unproposed if u.columns == (name,)]


def seen(found: Proposed, name: str) -> Seen:
    (one,) = (s for s in found.columns if s.name == name)
    return one


def ids(found: Proposed) -> set[str]:
    return {p.id for p in found.proposals}


def test_the_facts_of_a_column() -> None:
    given = batch(
        code=[f"K{i}" for i in range(100)],
        level=(["高", "低"] * 45) + [None] * 5 + ["", " ", "中", "中", "中"],
        size=pa.array([*range(99), None], pa.int64()),
        on=[date(2026, 1, 1) + timedelta(days=i) for i in range(100)],
    )
    found = proposed(given)
    code, level, size, on = (seen(found, n) for n in ("code", "level", "size", "on"))
    assert (code.type, code.distinct, code.exact, code.unique, code.key) == ("String", 100, True, True, True)
    assert (code.shortest, code.longest, code.values, code.low) == (2, 3, None, None)
    assert (level.nulls, level.blanks, level.distinct, level.unique, level.key) == (5, 2, 5, False, False)
    assert (level.values, level.rare) == ({"低": 45, "高": 45}, 5)
    assert (size.nulls, size.unique, size.key, size.low, size.high) == (1, True, False, "0", "98")
    assert (on.low, on.high, on.unique) == ("2026-01-01", "2026-04-10", None)


def test_what_holds_for_all_may_reject_and_what_holds_for_most_warns_with_a_margin() -> None:
    found = proposed(batch(a=["x"] * 1000, b=["x"] * 990 + [None] * 10, c=["x"] * 600 + [None] * 400))
    all, most = rule(found, "a.required"), rule(found, "b.required")
    assert (all.kwargs, all.severity) == ({"column": "a"}, "error")
    assert (most.kwargs, most.severity) == ({"column": "b", "mostly": 0.97}, "warn")
    assert (most.evidence.holding, most.evidence.failing, most.confidence) == (990, 10, 0.9817)
    assert "c.required" not in ids(found)
    (why,) = [u for u in near(found, "c") if u.rule == "required"]
    assert (why.considered, why.failing) == (1000, 400)
    assert "600 of 1000 are there" in why.why_en


def test_the_interval_is_wilsons() -> None:
    assert wilson(0, 0) == 0
    assert round(wilson(81, 263), 4) == 0.2553  # Newcombe, Statistics in Medicine 1998, table I
    assert round(wilson(29, 29), 4) == 0.8830


def test_too_few_rows_say_nothing_and_it_is_said() -> None:
    found = proposed(batch(a=["x", "y"] * 14, n=[*range(28)]))
    assert found.proposals == ()
    assert {u.rule for u in near(found, "a")} == {"all"}
    assert seen(found, "n").low == "0"
    assert seen(proposed(batch(n=[*range(9)])), "n").low is None, "nine rows are few enough to know each"


def test_no_range_of_few_rows_nor_of_numbers_that_name() -> None:
    few = proposed(batch(n=[1, 2, 3, 3] * 40, day=[date(2026, 1, 1), date(2026, 1, 2)] * 80))
    assert [u.why_en for u in near(few, "day")] == ["fewer than 200 values: no range is proposed"]
    named = proposed(batch(n=[*range(400)], m=[*range(200)] * 2))
    assert [u.rule for u in near(named, "n")] == ["range"]
    assert rule(named, "m.range").kwargs == {"column": "m", "min_value": 0, "max_value": 220}


def test_ranges_are_wider_than_what_was_seen() -> None:
    years = [1990 + i % 37 for i in range(500)]
    days = [date(2024, 3, 1) + timedelta(days=i) for i in range(500)]
    found = proposed(batch(n=years, d=days, below=[-i % 100 - 120 for i in range(500)]))
    assert rule(found, "n.range").kwargs == {"column": "n", "min_value": 1900, "max_value": 2100}
    assert rule(found, "d.range").kwargs["min_value"] == "2023-01-01"
    assert rule(found, "d.range").kwargs["max_value"] == "2030-12-31"
    assert rule(found, "below.range").kwargs == {"column": "below", "min_value": -130, "max_value": -11}


def test_a_set_leaves_out_what_is_rare_and_does_not_name_it() -> None:
    values = ["甲"] * 600 + ["乙"] * 395 + ["丙丙"] * 5
    found = proposed(batch(kind=values))
    one = rule(found, "kind.set")
    assert one.kwargs == {"column": "kind", "value_set": ["乙", "甲"], "mostly": 0.97}
    assert one.evidence.failing == 5
    assert "丙丙" not in repr(found)
    assert "kind.set" not in ids(proposed(batch(kind=["甲"] * 600))), "one value is no set"


def test_days_in_order_where_that_says_something() -> None:
    first = [date(2026, 1, 1) + timedelta(days=i % 50) for i in range(200)]
    then = [d + timedelta(days=i % 9) for i, d in enumerate(first)]
    long_ago = [d - timedelta(days=9000) for d in first]
    found = proposed(batch(ended=then, begun=first, built=long_ago))
    assert {i for i in ids(found) if i.endswith("ordered")} == {"ended+begun.ordered"}
    assert rule(found, "ended+begun.ordered").title == "ended: 不能早于begun"


def test_a_key_with_some_twice_is_near_and_not_mostly() -> None:
    found = proposed(batch(code=[f"K{i % 995:04d}" for i in range(1000)]))
    assert "code.unique" not in ids(found)
    (why,) = [u for u in near(found, "code") if u.rule == "unique"]
    assert why.failing == 10


def test_a_contract_says_what_is_personal_what_is_coded_and_what_is_the_key() -> None:
    table = sorted(KNOWN.codes.names)[0]
    codes = KNOWN.codes.codes(table, KNOWN.day).to_pylist()
    shape = Contract(
        id="t", title="t", family="f", authority=("county",), key=("a", "b"),
        fields=(
            Field(name="a", title="甲号", required=True), Field(name="b", title="乙号", required=True),
            Field(name="secret", title="密", sensitivity="L3"), Field(name="family", title="姓氏一列"),
            Field(name="kind", title="种类", type="code", code_table=table, sensitivity="L0"),
            Field(name="division_code", title="区划", type="division"),
        ),
    )  # fmt: skip
    given = batch(a=[str(i // 10) for i in range(400)], b=[str(i % 10) for i in range(400)], secret=["红", "蓝"] * 200,
                  family=["高大", "高小"] * 200, kind=[codes[0]] * 400)  # fmt: skip
    found = proposed(given, shape=shape)
    assert rule(found, "a+b.unique").type == "expect_compound_columns_to_be_unique"
    assert rule(found, "kind.code_table").kwargs == {"column": "kind", "code_table": table}
    assert seen(found, "secret").values is None
    assert seen(found, "family").values == {"高大": 200, "高小": 200}, "the contract says that it is L1"
    assert seen(proposed(given), "family").values is None, "nobody says so, and they look like names"
    assert rule(found, "kind.required").title == "种类: 不能为空"


def test_a_file_without_a_header_is_told_and_its_values_are_not() -> None:
    with pytest.raises(Unreadable) as raised:
        proposed(batch(**{"13812345678": ["13912345678"] * 50}))
    assert "13812345678" not in str(raised.value)


def test_a_value_that_many_share_is_not_shown_where_it_may_hold_a_number_of_somebody() -> None:
    long, held = "很长的一段话" * 10, "甲先生13812345678"
    for value in (long, held, "0571-87654321"):
        found = proposed(batch(note=[value] * 40 + ["无"] * 400 + ["有"] * 800))
        assert value not in repr(found)
        assert "note.set" not in ids(found)


def test_thresholds_are_checked(tmp_path: Path) -> None:
    text = profile_terms.SHIPPED.read_text(encoding="utf-8")
    (tmp_path / "own.yaml").write_text(text.replace("id: default", "id: own").replace("near: 0.5", "near: 5"), encoding="utf-8")  # fmt: skip
    with pytest.raises(DeclarationError, match="between 0 and 1"):
        profile_terms.load(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text(text.replace("id: default", "id: own").replace("name: division", "name: uscc"), encoding="utf-8")  # fmt: skip
    with pytest.raises(DeclarationError, match="names of forms differ"):
        profile_terms.load(tmp_path / "own.yaml")
    assert TERMS.called("op_lon", TERMS.longitudes)
    assert not TERMS.called("colon", TERMS.longitudes)
    assert declaration.dump(TERMS)


# -- drafts and acceptances


def drafted() -> str:
    found = proposed(batch(code=[f"K{i:03d}" for i in range(400)], level=["一级", "二级"] * 200))
    source = draft.Source(name="d.csv", rows=400, whole=True, at=AT, terms="default")
    return draft.text_of(draft.drafted(found.proposals, name="d", source=source))


def accept(text: str, *ids: str, into: str | None = None, by: str = "张三") -> draft.Accepted:
    return draft.accept(text, ids or None, file="d.json", name="thing", by=by, at=AT, into=into)


def test_a_draft_is_refused_and_may_be_tried() -> None:
    made, problems = parse(drafted(), file="d.json", name="d")
    assert made is None
    assert problems[0].line == 4
    assert "nobody has accepted" in problems[0].en
    assert parse(drafted(), file="d.json", name="d", drafts=True)[0] is not None


def test_an_acceptance_says_who_when_and_of_what() -> None:
    done = accept(drafted(), "code.unique")
    (one,) = done.suite["expectations"]
    own = one["meta"]["leishu"]
    assert (own["accepted"], own["accepted_by"], own["accepted_at"]) == (
        True,
        "张三",
        "2026-11-26T00:00:00+00:00",
    )
    assert len(own["evidence"]) == 64
    assert own["proposal"]["evidence"]["considered"] == 400
    assert parse(draft.text_of(done.suite), file="thing.json", name="thing")[0] is not None


def test_more_rules_join_a_suite_and_none_twice() -> None:
    first = draft.text_of(accept(drafted(), "code.unique").suite)
    second = accept(drafted(), "code.unique", "level.set", into=first, by="李四")
    assert (second.ids, second.there) == (("level.set",), ("code.unique",))
    assert [e["meta"]["leishu"]["accepted_by"] for e in second.suite["expectations"]] == ["张三", "李四"]


@pytest.mark.parametrize("by", ["", " ", "x" * 61, "张\x1b三"])
def test_somebody_accepts(by: str) -> None:
    with pytest.raises(Refused, match="name who accepts"):
        accept(drafted(), "code.unique", by=by)


def test_what_was_changed_since_is_not_accepted_and_no_longer_loads() -> None:
    with pytest.raises(Refused, match=r"no proposal code\.nice"):
        accept(drafted(), "code.nice")
    with pytest.raises(Refused, match="changed since it was proposed"):
        accept(
            drafted().replace('"value_set": ["一级", "二级"]', '"value_set": ["一级", "三级"]'), "level.set"
        )
    with pytest.raises(Refused, match="changed since it was proposed"):
        accept(drafted().replace('"considered": 400', '"considered": 9000'), "level.set")
    sound = draft.text_of(accept(drafted()).suite)
    for old, new, word in (
        ('"accepted": true', '"accepted": false', "nobody has accepted"),
        ('"accepted": true, ', "", "nobody has accepted"),
        ('"accepted_by": "张三"', '"accepted_by": " "', "names accepted_by"),
        ("2026-11-26T00:00:00+00:00", "2026-11-26", "names accepted_by"),
        ('"二级"', '"三级"', "changed after it was accepted"),
    ):
        made, problems = parse(sound.replace(old, new), file="thing.json")
        assert made is None, old
        assert word in problems[0].en
    warned = sound.replace('"severity": "error"', '"severity": "warn"')
    assert parse(warned, file="thing.json")[0] is not None, "how grave it is is for the person to say"


# -- routes


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desks.desk(tmp_path, database_url) as made:
        for i in range(60):
            made.sites["county"].enter({"code": f"A{i:03d}", "division_code": "330683", "name": "站" * (i % 2 + 1), "contact": "门卫"})  # fmt: skip
        yield made


def test_a_route_is_read_and_nothing_moves(desk: Desk) -> None:
    made = desk.hub.profiles.of(COLLECT, TERMS, most=1000)
    assert (made.profile.rows, made.unfit, made.whole) == (60, 0, True)
    found = propose(made.profile, made.asked)
    assert seen(found, "contact").personal is not None, "it becomes a field of class L2"
    assert "门卫" not in repr(found)
    assert rule(found, "code.length").kwargs == {"column": "code", "value": 4}
    assert not [i for i in ids(found) if i.endswith("unique")], "nothing is unique at the source"
    assert desk.query("SELECT count(*) AS n FROM leishu.batches") == [{"n": 0}]
    assert desk.hub.run([COLLECT]).counts[COLLECT]["registered"] == 60


@pytest.mark.parametrize(("most", "rows", "whole"), [(59, 59, False), (60, 60, True), (1, 1, False)])
def test_the_first_rows_alone(desk: Desk, most: int, rows: int, whole: bool) -> None:
    made = desk.hub.profiles.of(COLLECT, TERMS, most=most)
    assert (made.profile.rows, made.whole) == (rows, whole)


def test_a_route_that_cannot_be_read_now(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="collects nothing"):
        desk.hub.profiles.of(SHARE, TERMS, most=9)
    with pytest.raises(Refused, match="gave no rows"):
        desk.hub.profiles.of("city.thing.collect", TERMS, most=9)
    desk.hub.pauses.pause("county", until=None, reason="检修", by="张三")
    with pytest.raises(Refused, match="may not be called now"):
        desk.hub.profiles.of(COLLECT, TERMS, most=9)
    desk.hub.pauses.resume("county", by="张三")

    def down(*_: Any) -> None:
        raise Unavailable("不在", "it is down")

    monkeypatch.setattr("tests.sites._Door.extract", down)
    with pytest.raises(Unavailable):
        desk.hub.profiles.of(COLLECT, TERMS, most=9)


def test_a_draft_disables_the_route_until_its_rules_are_accepted(desk: Desk) -> None:
    made = desk.hub.profiles.of(COLLECT, TERMS, most=1000)
    found = propose(made.profile, made.asked)
    source = draft.Source(name=COLLECT, rows=60, whole=True, at=AT, terms="default")
    text = draft.text_of(draft.drafted(found.proposals, name="habits", source=source))
    file = desk.settings.home / "quality" / "habits.json"
    file.write_text(text, encoding="utf-8")
    desk.declare(f"routes/{COLLECT}.yaml", suites={"collection": "habits"})
    failed = desk.hub.run([COLLECT]).failed[COLLECT]
    assert "nobody has accepted" in str(failed)
    assert desk.query("SELECT count(*) AS n FROM leishu.batches") == [{"n": 0}]
    done = draft.accept(text, None, file="habits.json", name="habits", by="张三", at=AT)
    file.write_text(draft.text_of(done.suite), encoding="utf-8")
    desk.reread()
    assert desk.hub.run([COLLECT]).counts[COLLECT]["registered"] == 60


# -- the command line


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Main:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LEISHU_HOME", str(ROOT / "demo"))
    monkeypatch.setenv("LEISHU_ACTOR", "王五")
    rows = {"code": [f"K{i:04d}" for i in range(300)], "level": ["一级", "二级", "三级"] * 100}
    table = pa.table({**rows, "size": [i % 70 for i in range(300)]})
    pq.write_table(table, "d.parquet", row_group_size=70)
    pacsv.write_csv(table, "d.csv")
    with pa.ipc.new_file("d.arrow", table.schema) as writer:
        writer.write_table(table)
    Path("d.ndjson").write_text("".join(json.dumps(r) + "\n" for r in table.to_pylist()), encoding="utf-8")

    def run(*line: str) -> tuple[int, Any]:
        code = main([*line, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else None

    return run


def test_every_form_of_file_comes_to_the_same(cli: Main) -> None:
    answers = [cli("quality", "profile", f"d.{form}")[1] for form in ("parquet", "csv", "arrow", "ndjson")]
    for one in answers:
        assert {**one, "source": ""} == {**answers[0], "source": ""}
    assert (answers[0]["rows"], answers[0]["whole"], answers[0]["unfit"]) == (300, True, 0)
    for most, whole in (("300", True), ("299", False), ("70", False)):
        made = cli("quality", "profile", "d.parquet", "--rows", most)[1]
        assert (made["rows"], made["whole"]) == (int(most), whole)


def test_from_a_file_to_a_suite_that_holds(cli: Main, tmp_path: Path) -> None:
    code, made = cli("quality", "profile", "d.csv", "--out", "habits.json")
    assert (code, made["file"]) == (0, "habits.json")
    assert cli("quality", "profile", "d.csv", "--out", "habits.json")[0] == 2, "nothing is overwritten"
    assert cli("quality", "judge", "d.csv", "--suite", "habits.json")[1]["success"]
    code, done = cli("quality", "accept", "habits.json", "--rule", "level.set", "--out", "own.json")
    assert (code, done["accepted"], done["by"], done["rules"]) == (0, ["level.set"], "王五", 1)
    code, done = cli("quality", "accept", "habits.json", "--all", "--by", "赵六", "--out", "own.json")
    assert (code, done["there"], done["rules"]) == (0, ["level.set"], len(made["proposals"]))
    for engine in ("leishu", "gx"):
        assert cli("quality", "judge", "d.csv", "--suite", "own.json", "--engine", engine)[1]["success"]
    assert sorted(p.name for p in tmp_path.glob("*.json")) == ["habits.json", "own.json"]


@pytest.mark.parametrize(
    "line",
    [
        ["profile"],
        ["profile", "d.csv", "--route", "a.b.collect"],
        ["profile", "none.csv"],
        ["profile", "--route", "a.b.collect", "--contract", "key_unit"],
        ["profile", "d.csv", "--contract", "nothing"],
        ["profile", "d.csv", "--terms", "none.yaml"],
        ["profile", "d.csv", "--out", "d.txt"],
        ["profile", "d.csv", "--rows", "5", "--out", "few.json"],
        ["accept", "none.json", "--all", "--out", "own.json"],
        ["accept", "d.csv", "--out", "own.json"],
        ["accept", "d.csv", "--all", "--rule", "x", "--out", "own.json"],
        ["accept", "d.csv", "--all", "--out", "own.txt"],
    ],
)
def test_wrong_use(line: list[str], cli: Main) -> None:
    assert cli("quality", *line)[0] == 2
