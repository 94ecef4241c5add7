"""The quality report of a batch at the command line, as a page, a workbook or a PDF."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import printing, sheets, typesetting
from catalog.calendar import CHINA
from catalog.errors import say
from exchange.cli import opening, words
from exchange.cli import quality_outputs as outputs
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title
from quality import charts
from quality.assessment import GX, LEISHU
from quality.report import ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quality.charts import Chart
    from quality.report import Dimension, Line, Report, Sum

LINES = (("环节", "stage"), ("规则", "rule"), ("信息项", "field"), ("级别", "severity"), ("维度", "dimension"),
         ("查", "asked"), ("空值", "missing"), ("不符", "unexpected"), ("结果", "result"), ("记录号", "record numbers"))  # fmt: skip
NUMBERS = (5, 6, 7)
ENGINES = {LEISHU: ("雷枢", "Leishu"), GX: ("Great Expectations", "Great Expectations")}
WIDE = {
    "rule": 4,
    "field": 3,
    "result": 2,
    "record numbers": 4,
    "digest": 1,
    "dimension": 0,
}  # columns of paper that take what is left
CHARTED = 12  # rules in the chart
RUNS = 12  # runs of record numbers in print; the workbook has more, JSON has all
MOST_NUMBERS = sheets.MOST_ROWS - 2  # in a workbook, under a heading and a header
ADDING = (
    "一行可以不符几条规则, 所以退回的行不能按规则相加: 退回多少行见环节。",
    "One row may break several rules, so rejected rows do not add up over rules: the stages have them.",
)
DRIFTED = (
    "接口规范没有声明的列, 或不合声明类型的值: 没有登记。这里是有值的行数。",
    "Columns that the layout does not declare, or values not of their declared type: not registered. Rows with a value.",
)


def report(batch: str, *, scheme: str, html: Path | None, xlsx: Path | None, pdf: Path | None) -> Answer:
    """Exit code 1 where a rule did not hold."""
    with opening.opened() as hub:
        found = hub.reports.of(batch, scheme=scheme)
    try:
        if html is not None:
            html.write_text(page(found), encoding="utf-8")
        if xlsx is not None:
            xlsx.write_bytes(workbook(found))
        if pdf is not None:
            pdf.write_bytes(paper(found))
    except OSError as error:
        raise WrongUse(
            f"写不了文件: {error.strerror}", f"a file cannot be written: {error.strerror}"
        ) from None
    broken = [x for x in found.lines if not x.success]
    told = [said(found)]
    if found.left_out:
        names = ", ".join(f"{name} {rows:,}" for name, rows in found.left_out.items())
        told.append(say(f"略去没有声明的内容 (行): {names}", f"left out, not declared (rows): {names}"))
    if xlsx is not None and (cut := cut_off(found)):
        told.append(f"{xlsx.name}: {cut}")
    shown = [x for x in found.lines if x.unexpected] or found.lines[:10]
    rows = [tuple(map(str, cells(x, RUNS))) for x in shown]
    return Answer(
        output=outputs.QualityReport(report=found),
        sheets=[Sheet(columns=tuple(say(*c) for c in LINES), rows=rows, numbers=frozenset(NUMBERS))],
        words=told,
        code=Code.FINDING if broken else Code.DONE,
    )


def said(found: Report) -> str:
    """One sentence on the whole."""
    rules, broken = len(found.lines), sum(not x.success for x in found.lines)
    rejected = sum(s.rejected for s in found.stages)
    return say(
        f"{rules} 条规则, {broken} 条不符合, 退回 {rejected} 条记录",
        f"{rules} rules, {broken} did not hold, {rejected} records rejected",
    )


def cells(x: Line, most: int) -> tuple[str | int, ...]:
    """One rule as cells."""
    result = ("符合", "holds") if x.success else ("不符合", "does not hold")
    name = x.title if x.title_en == x.title else say(x.title, x.title_en)
    if x.engine != LEISHU:
        name += f" ({say(*ENGINES.get(x.engine, (x.engine, x.engine)))})"
    return (title(words.STAGES, x.stage), name, x.field or say("整批", "the batch"), title(words.SEVERITIES, x.severity),
            x.dimension, x.considered, x.missing, x.unexpected, say(*result), ranges(x.rows, most))  # fmt: skip


def workbook(found: Report) -> bytes:
    """概览, 维度, 级别, 信息项, 略去, 规则, 记录号: everything that the report has, but record numbers beyond a bound."""
    cut = cut_off(found)
    overview = [(k, v) for row in facts(found) for k, v in (row[:2], row[2:]) if k]
    overview += [(say("说明", "note"), n) for n in (say(*ADDING), cut) if n]
    made = [
        _sheet(("概览", "overview"), (("项", "item"), ("值", "value")), overview),
        _sheet(("维度", "dimensions"), _DIMENSIONS, _dimensions(found)),
        _sheet(("级别", "severities"), _summed("级别", "severity"), _severities(found)),
        _sheet(("信息项", "fields"), _summed("信息项", "field"), _fields(found)),
        _sheet(("略去", "left out"), _LEFT_OUT, list(found.left_out.items()), heading=say(*DRIFTED)),
        _sheet(
            ("规则", "rules"),
            (*LINES[:9], ("引擎", "engine"), LINES[9]),
            [_in_book(x) for x in found.lines],
        ),
        _sheet(
            ("记录号", "record numbers"),
            [LINES[i] for i in (0, 1, 2, 9)],
            list(islice(_numbered(found), MOST_NUMBERS)),
            heading=cut,
        ),
    ]
    return sheets.written(*made)


def _sheet(
    name: tuple[str, str],
    columns: Sequence[tuple[str, str]],
    rows: list[tuple[Any, ...]],
    *,
    heading: str = "",
) -> sheets.Sheet:
    titled = tuple(sheets.Column(title=say(*c)) for c in columns)
    return sheets.Sheet(name=say(*name), heading=heading, columns=titled, rows=rows)


def _in_book(x: Line) -> tuple[Any, ...]:
    *rest, numbers = cells(x, RUNS)
    return (*rest, say(*ENGINES.get(x.engine, (x.engine, x.engine))), numbers)


def _numbered(found: Report) -> Iterator[tuple[Any, ...]]:
    for x in found.lines:
        stage = title(words.STAGES, x.stage)
        for number in x.rows:
            yield stage, x.title, x.field or "", number


def cut_off(found: Report) -> str:
    """How many record numbers the workbook has of how many, and where the others are; nothing where it has all."""
    there = sum(len(x.rows) for x in found.lines)
    if there <= MOST_NUMBERS:
        return ""
    return say(
        f"记录号共 {there:,} 个, 工作簿只有前 {MOST_NUMBERS:,} 个; 全部见 leishu quality report 的 --json",
        f"{there:,} record numbers, of which the workbook has the first {MOST_NUMBERS:,}; "
        "leishu quality report --json has all",
    )


def _summed(zh: str, en: str) -> tuple[tuple[str, str], ...]:
    return ((zh, en), ("规则", "rules"), ("不符合", "did not hold"), ("查", "asked"), ("不符", "unexpected"), ("符合率", "share"))  # fmt: skip


_DIMENSIONS = _summed("维度", "dimension")
_LEFT_OUT = (("列", "column"), ("行", "rows"))


def _sum(of: str, x: Dimension | Sum) -> tuple[Any, ...]:
    return (of, x.rules, x.failed, x.considered, x.unexpected, _share(x.considered, x.unexpected))


def _dimensions(found: Report) -> list[tuple[Any, ...]]:
    return [_sum(x.dimension, x) for x in found.dimensions]


def _severities(found: Report) -> list[tuple[Any, ...]]:
    return [_sum(title(words.SEVERITIES, x.of or ""), x) for x in found.severities]


def _fields(found: Report) -> list[tuple[Any, ...]]:
    return [_sum(x.of or say("整批", "the batch"), x) for x in found.fields]


def _share(considered: int, unexpected: int) -> str:
    """Rounded down: 100 % is said of what holds without exception alone."""
    if not considered:
        return "–"
    hundredths = (considered - unexpected) * 10_000 // considered
    return f"{hundredths // 100}.{hundredths % 100:02d}%"


def facts(found: Report) -> list[tuple[str, str, str, str]]:
    """The heading, two facts a line."""
    h = found.heading
    counts = words.equation(h.counts, "collect") or "–"
    return [
        (say("报送", "sender"), f"{h.platform_title} {h.platform}", say("数据标准", "contract"), f"{h.contract_title} {h.contract}"),
        (say("交换任务", "route"), h.route, say("批次号", "batch"), h.number),
        (say("评价时间", "assessed at"), moment(h.at), say("规则集", "suite"), h.suite or "–"),
        (say("维度体系", "scheme"), found.scheme_title, say("对账", "equation"), counts),
    ]  # fmt: skip


def data(found: Report, *, charted: bool = True) -> dict[str, Any]:
    """What the page and the paper are made of."""
    h = found.heading
    passed = h.outcome == "passed"
    top = [x for x in found.lines if x.unexpected][:CHARTED]
    labels = [f"{x.title[:22]}{f' ({x.field[:24]})' if x.field else ''}" for x in top]
    share = [x for x in found.dimensions if x.considered]
    stages = [
        (title(words.STAGES, s.stage), s.rows, s.rejected, s.rules, s.failed, s.digest[:16])
        for s in found.stages
    ]
    parts = [
        part("环节 Stages", (("环节", "stage"), ("记录", "records"), ("退回", "rejected"), ("规则", "rules"), ("不符合", "did not hold"), ("摘要", "digest")),
              stages, (1, 2, 3, 4), note=say("摘要的全文在交换日志里。", "The ledger has the digests in full.")),
        part("维度 Dimensions", _DIMENSIONS, _dimensions(found), (1, 2, 3, 4, 5),
              chart=charts.bars([x.dimension for x in share], [(x.considered - x.unexpected) / x.considered for x in share],
                                [_share(x.considered, x.unexpected) for x in share],
                                title=say("符合率", "share that holds"), most=1.0) if share and charted else None),
        part("级别 Severities", _summed("级别", "severity"), _severities(found), (1, 2, 3, 4, 5), note=say(*ADDING)),
        part("信息项 Fields", _summed("信息项", "field"), _fields(found), (1, 2, 3, 4, 5)),
        *([part("略去的内容 Left out", _LEFT_OUT, list(found.left_out.items()), (1,), note=say(*DRIFTED))] if found.left_out else []),
        part("规则 Rules", LINES, [cells(x, RUNS) for x in found.lines], NUMBERS, kind="rules",
              note=say("记录号是发送方的行次, 从 1 起。报告只有计数和记录号, 没有记录内容。没有注明引擎的规则由雷枢判定。",
                       "Record numbers count the sender's rows from 1. Counts and numbers alone, no values. Rules that name no engine were judged by Leishu."),
              chart=charts.bars(labels, [x.unexpected for x in top], [f"{x.unexpected:,}" for x in top], title=say("不符合最多的规则", "rules that most rows break"), alert=True) if top and charted else None),
    ]  # fmt: skip
    return {
        "title": "数据质量报告 Data quality report",
        "subtitle": f"{h.platform_title} · {h.contract_title}",
        "number": f"{h.route}/{h.number}",
        "date": list(h.at.astimezone(CHINA).timetuple()[:3]),
        "passed": passed,
        "outcome": say("已放行", "Passed") if passed else say("未放行", "Stopped"),
        "words": said(found) + ("" if passed or h.why is None else f" {say(*h.why)}"),
        "facts": [list(r) for r in facts(found)],
        "parts": parts,
        "footer": f"{say('声明修订', 'revision')} {(h.revision or '–')[:16]} · {say('雷枢', 'Leishu')}",
    }


def part(
    heading: str, columns: tuple[tuple[str, str], ...], rows: list[tuple[Any, ...]], numbers: tuple[int, ...],
    *, note: str = "", chart: Chart | None = None, kind: str = "",
) -> dict[str, Any]:  # fmt: skip
    """A part of a page: cells, a note above them, a chart."""
    made = [[f"{v:,}" if isinstance(v, int) else str(v) for v in row] for row in rows]
    widths = [WIDE.get(c[1], 0) for c in columns]
    table = {"columns": [say(*c) for c in columns], "rows": made, "numbers": list(numbers), "widths": widths}
    drawn = None if chart is None else {"svg": chart.svg, "alt": chart.alt}
    return {"heading": heading, "kind": kind, "note": note, "chart": drawn, "table": table if rows else None}


def page(found: Report) -> str:
    """One HTML file that needs nothing else."""
    return printing.render("quality.html", d=data(found))


def paper(found: Report) -> bytes:
    """PDF, with the font in it."""
    return typesetting.pdf("quality.typ", data(found), fonts=[charts.font()])
