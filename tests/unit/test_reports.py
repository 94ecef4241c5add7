"""Quality reports: their figures add up, nothing in a title can do harm, the same figures give the same bytes."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import page as bench
from catalog import envelope
from catalog.errors import Refused
from exchange.cli import report as pages
from quality import suite as suites
from quality.assessment import Assessment, Result, Statement, of_results
from quality.judge import statement
from quality.report import UNTAGGED, Heading, Report, ranges, report
from quality.rules import compile
from tests import sites, workplaces
from tests.workplaces import COUNTY, LONG, Place

HOSTILE = ("<script>alert(1)</script>", "#set page(width: 1pt)", "=1+1", "]*_$x$`", r"$\foo$ 至", "\\u{0}")
SHEETS = ("overview", "dimensions", "severities", "fields", "left out", "rules", "record numbers")
HEADING = Heading(
    batch=7, number="2026112600001", route="county.x.collect", platform="county", platform_title=HOSTILE[0],
    contract="x", contract_title=HOSTILE[1], suite="x", revision="ab" * 32, outcome="blocked", state="blocked",
    why=("超过阈值", "above the tolerance"), at=datetime(2026, 11, 26, tzinfo=UTC), counts={},
)  # fmt: skip


def result(n: int, considered: int, bad: list[int], dimension: str | None, title: str = "题") -> Result:
    one = Statement(id=f"r{n}", rule="rule", field=f"f{n}", severity="error", title=title, title_en=title,
                    dimensions={} if dimension is None else {"s": dimension})  # fmt: skip
    return Result(statement=one, considered=considered, bad=pa.array(bad, pa.int64()))


def made(results: list[Result]) -> Report:
    done = [Assessment(stage="collection", rows=9), of_results("processing", results, rows=9, rejected=2)]
    return report(HEADING, done, scheme="s", title="体系", order=["完整性", "规范性"])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 50),
            st.lists(st.integers(0, 40), unique=True, max_size=8).map(sorted),
            st.sampled_from(["完整性", "规范性", "别的", None]),
        ),
        max_size=12,
    )
)
def test_every_total_is_the_sum_of_its_parts(given: list[tuple[int, list[int], str | None]]) -> None:
    found = made([result(n, max(c, len(bad)), bad, d) for n, (c, bad, d) in enumerate(given)])
    for parts in (found.dimensions, found.fields, found.severities):
        for name in ("considered", "unexpected"):
            assert sum(getattr(x, name) for x in parts) == sum(getattr(x, name) for x in found.lines)
        assert sum(x.rules for x in parts) == len(found.lines) == sum(s.rules for s in found.stages)
        assert sum(x.failed for x in parts) == sum(not x.success for x in found.lines)
    assert {x.of for x in found.fields} == {x.field for x in found.lines}
    assert [x.unexpected for x in found.lines] == [len(x.rows) for x in found.lines]
    known = [x.dimension for x in found.dimensions if x.dimension in ("完整性", "规范性")]
    assert known == [d for d in ("完整性", "规范性") if d in known]
    assert (UNTAGGED in {x.dimension for x in found.dimensions}) == any(d is None for _, _, d in given)


def test_rules_are_summed_by_severity_and_by_field_the_worst_field_first() -> None:
    lines = [
        ("a", "warn", [1]), ("a", "error", []), ("b", "error", [1, 2]), (None, "error", [2]), ("b", "warn", [3]),
    ]  # fmt: skip
    found = made(
        [
            Result(
                statement=Statement(id=f"r{n}", rule="rule", field=field, severity=severity),
                considered=9,
                bad=pa.array(bad, pa.int64()),
            )
            for n, (field, severity, bad) in enumerate(lines)
        ]
    )
    assert [(x.of, x.rules, x.failed, x.unexpected) for x in found.fields] == [
        ("b", 2, 2, 3), ("a", 2, 1, 1), (None, 1, 1, 1),
    ]  # fmt: skip
    assert [(x.of, x.rules, x.unexpected) for x in found.severities] == [("error", 3, 3), ("warn", 2, 2)]
    page = pages.page(found)
    assert "do not add up over rules" in page, "two rules may reject one row"


def test_a_statement_of_ours_is_what_it_was_and_another_engine_is_named() -> None:
    facts = {"id": "suite:0:x", "rule": "x", "field": "f", "severity": "error", "title": "", "title_en": "",
             "mostly": 1.0, "dimensions": {}, "expectation": None}  # fmt: skip
    own = Statement(**facts)
    assert own.to_json() == facts, "kept before there was an engine"
    assert own.digest == "d92efc091718daaf934f87b7ed50e01dd12905f448d292dd5d7358e62778a987"
    other = Statement(**facts, engine="gx")
    assert (other.digest != own.digest, Statement(**other.to_json())) == (True, other)
    suite, problems = suites.parse(
        json.dumps({"name": "s", "expectations": [
            {"type": "expect_column_values_to_be_json_parseable", "kwargs": {"column": "f"}},
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "f", "regex": r"^(?!x).*$"}},
            {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "f", "regex": "^x"}},
        ]}), file="s.json",
    )  # fmt: skip
    assert suite is not None, problems
    stated = [statement(r) for r in compile(suite).rules]
    assert [s.engine for s in stated] == ["gx", "gx", "leishu"]
    found = made([Result(statement=s, considered=9) for s in stated])
    assert sorted(x.engine for x in found.lines) == ["gx", "gx", "leishu"]
    assert pages.page(found).count("(Great Expectations)") == 2
    book = openpyxl.load_workbook(io.BytesIO(pages.workbook(found)))
    heads, *rows = [[c.value for c in row] for row in book["rules"].iter_rows()]
    assert sorted(row[heads.index("engine")] for row in rows) == ["Great Expectations"] * 2 + ["Leishu"]


def test_a_workbook_that_has_not_every_record_number_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = made([result(n, 9, [0, 4, 6], "完整性") for n in range(3)])
    assert pages.cut_off(found) == ""
    whole = openpyxl.load_workbook(io.BytesIO(pages.workbook(found)))["record numbers"]
    assert whole.max_row == 1 + 9
    monkeypatch.setattr(pages, "MOST_NUMBERS", 4)
    said = pages.cut_off(found)
    assert "9 record numbers, of which the workbook has the first 4" in said
    assert "--json" in said
    book = openpyxl.load_workbook(io.BytesIO(pages.workbook(found)))
    numbers = book["record numbers"]
    assert (numbers["A1"].value, numbers.max_row) == (said, 2 + 4)
    assert said in [row[1].value for row in book["overview"].iter_rows()]

    class Desk:
        reports = SimpleNamespace(of=lambda batch, scheme: found)

    monkeypatch.setattr(pages.opening, "opened", lambda: nullcontext(Desk()))
    for xlsx, told in ((None, False), (tmp_path / "a.xlsx", True)):
        answer = pages.report("1", scheme="s", html=None, xlsx=xlsx, pdf=None)
        assert any(said in w for w in answer.words) == told


def test_a_share_is_never_rounded_up_to_all() -> None:
    assert pages._share(10**7, 1) == "99.99%"
    assert pages._share(10**7, 0) == "100.00%"
    assert pages._share(0, 0) == "–"


def test_record_numbers_are_written_as_people_write_them() -> None:
    assert ranges([1, 2, 3, 7, 9, 10], 9) == "1-3, 7, 9-10"
    assert ranges([1, 3, 5, 7], 2) == "1, 3, …"
    assert ranges([], 3) == ""


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_no_title_does_harm_and_the_same_figures_give_the_same_bytes() -> None:
    found = made([result(n, 9, [0, 4], "完整性", title) for n, title in enumerate(HOSTILE)])
    html = pages.page(found)
    seen = Seen()
    seen.feed(html)
    assert "script" not in seen.tags
    assert not {"img", "link", "iframe", "object", "form"} & seen.tags
    assert not re.search(r"(?:src|href)=.https?:", html), "it asks nobody for anything"
    assert all(t in "".join(seen.text) for t in HOSTILE)
    book = openpyxl.load_workbook(io.BytesIO(pages.workbook(found)))
    assert book.sheetnames == list(SHEETS)
    assert not any(c.data_type == "f" for sheet in book for row in sheet.iter_rows() for c in row)
    numbers = [[c.value for c in row] for row in book["record numbers"].iter_rows(min_row=2)]
    assert len(numbers) == 2 * len(HOSTILE)
    assert {row[3] for row in numbers} == {1, 5}
    pdf = pages.paper(found)
    assert pdf.startswith(b"%PDF-")
    assert b"/GTS_PDFA1" in pdf
    for tagged in (
        b"/StructTreeRoot",
        b"/Lang(zh-CN)",
        b"<pdfaid:conformance>A<",
        b"<pdfuaid:part>1<",
        b"/Alt",
    ):
        assert tagged in pdf
    assert (pages.page(found), pages.paper(found)) == (html, pdf)


def test_without_a_browser_the_benchmark_of_the_page_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "BROWSERS", ("no-such-browser",))
    one = result(1, 9, [0], None)
    bench.opening((one,), 9, 1)
    assert "no browser on this machine (no-such-browser)" in capsys.readouterr().out
    assert one.statement.title in bench.html((one,), 9)


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as one:
        yield one


def test_a_batch_has_its_report_by_route_and_number_or_id_and_no_value_is_in_it(place: Place) -> None:
    place.enter("A")
    place.enter("B", name=LONG)
    place.run(COUNTY)
    with place.hub() as hub:
        found = hub.reports.of("1")
        assert found == hub.reports.of(f"{COUNTY}/{found.heading.number}")
        assert {s.stage for s in found.stages} == {"collection", "processing"}
        broken = [x for x in found.lines if not x.success]
        assert [(x.rule, x.field, x.rows, x.dimension) for x in broken] == [
            ("length", broken[0].field, [2], "规范性")
        ]
        assert broken[0].title == "超过规定长度"
        assert found.heading.suite == "thing"
        assert found.heading.counts == {"read": 2, "registered": 1, "quarantined": 1}
        whole = pages.page(found) + json.dumps(str(found), ensure_ascii=False)
        assert LONG not in whole
        assert "王A" not in whole
        for wrong in ("9", "nobody/2026112600001", "x", ""):
            with pytest.raises(Refused):
                hub.reports.of(wrong)
        with pytest.raises(Refused, match="gb36344"):
            hub.reports.of("1", scheme="none")


def test_what_was_left_out_of_a_batch_stands_in_its_report(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sites._Door.extract

    def extract(self: Any, slice: Any) -> Any:
        made = real(self, slice)
        rest = [json.dumps({"remark": "密"}), None, json.dumps({"remark": "密"})]
        return replace(
            made,
            batches=(b.append_column(envelope.REST, pa.array(rest[: b.num_rows])) for b in made.batches),
        )

    monkeypatch.setattr(sites._Door, "extract", extract)
    place.declare(f"routes/{COUNTY}.yaml", drift="discard_value")
    for code in "ABC":
        place.enter(code)
    place.run(COUNTY)
    with place.hub() as hub:
        found = hub.reports.of("1")
    assert found.left_out == {"remark": 2}
    page = pages.page(found)
    assert '<td>remark</td><td class="number">2</td>' in page
    assert "密" not in page.replace("密封", "")
    book = openpyxl.load_workbook(io.BytesIO(pages.workbook(found)))
    assert [c.value for c in book["left out"][3]] == ["remark", 2]
