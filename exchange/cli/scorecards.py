"""Scorecards at the command line: a month's marks, what stands behind them, disputes, the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import printing, sheets, typesetting
from catalog.errors import say
from exchange.cli import coverages, opening, words
from exchange.cli import quality_outputs as outputs
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.report import part
from exchange.cli.task import Answer, Sheet, WrongUse
from exchange.cli.words import title
from quality import charts

if TYPE_CHECKING:
    from exchange.scorecards import Behind, Dispute
    from quality.bundle import Recomputed
    from quality.coverage import Coverage
    from quality.scorecard import Mark, Scorecard

ROWS = (("名次", "rank"), ("发送方", "sender"), ("得分", "mark"), ("上月", "last month"), ("变化", "change"))
PARTS = (("发送方", "sender"), ("数据标准", "contract"), ("维度", "dimension"), ("权重", "weight"), ("查", "asked"),
         ("不符", "unexpected"), ("得分", "mark"))  # fmt: skip
BEHIND = (("批次", "batch"), ("数据标准", "contract"), ("维度", "dimension"), ("规则", "rule"), ("信息项", "field"), ("查", "asked"),
          ("不符", "unexpected"), ("记录号", "record numbers"))  # fmt: skip
OWED = ("得分只看收到的数据; 这里是应有的, 不计入得分 · "
        "Marks are of what came; this is what should be there, and no part of them")  # fmt: skip
CHARTED = 24  # senders in the chart


def scorecard(
    month: str, *, scheme: str, sender: str | None, contract: str | None, dimension: str | None, html: Path | None,
    xlsx: Path | None, pdf: Path | None,
) -> Answer:  # fmt: skip
    """The month's marks, and what stands behind one sender's."""
    if sender is None and (contract or dimension):
        raise WrongUse(
            "--contract、--dimension 要与 --sender 一起用", "--contract and --dimension go with --sender"
        )
    with opening.opened() as hub:
        found = hub.scorecards.of(month, scheme)
        opened = (
            hub.scorecards.opened(month, sender, contract=contract, dimension=dimension, scheme=scheme)
            if sender
            else []
        )
        owed = hub.coverages.latest(platform=sender, month=month)
    _write(found, owed, html=html, xlsx=xlsx, pdf=pdf)
    return _answer(found, opened, owed)


def publish(month: str, *, scheme: str) -> Answer:
    """By whoever is in front of the screen."""
    with opening.opened() as hub:
        return _answer(hub.scorecards.publish(month, scheme, by=actor()), [], [])


def contest(month: str, sender: str, batch: int, *, reason: str, scheme: str) -> Answer:
    """A dispute is opened."""
    with opening.opened() as hub:
        return _disputes(
            [hub.scorecards.dispute(month, sender, batch, by=actor(), reason=reason, scheme=scheme)]
        )


def answer(id: int, *, uphold: bool, reason: str) -> Answer:
    """A dispute is answered."""
    with opening.opened() as hub:
        return _disputes([hub.scorecards.answer(id, uphold=uphold, by=actor(), reason=reason)])


def disputes() -> Answer:
    """All of them."""
    with opening.opened() as hub:
        return _disputes(hub.scorecards.disputes())


def export(month: str, file: Path, *, scheme: str) -> Answer:
    """The bundle, tried before it is written."""
    with opening.opened() as hub:
        content, told = hub.scorecards.export(month, scheme, by=actor())
    try:
        file.write_bytes(content)
    except OSError as error:
        raise WrongUse(
            f"写不了文件: {error.strerror}", f"the file cannot be written: {error.strerror}"
        ) from None
    return _recomputed(told)


def recompute(bundle: Path) -> Answer:
    """From the bundle alone; Unreadable where anything in it does not agree."""
    from quality.bundle import recompute as again

    try:
        content = bundle.read_bytes()
    except OSError as error:
        raise WrongUse(
            f"读不了 {bundle.name}: {error.strerror}", f"{bundle.name} cannot be read: {error.strerror}"
        ) from None
    return _recomputed(again(content)[0])


def _recomputed(told: Recomputed) -> Answer:
    zh = f"{told.month} {told.scheme} 第 {told.version} 版: {told.assessments} 份质量评价、{told.rules} 条规则、{told.senders} 个发送方, 重算一致"
    en = (
        f"{told.month} {told.scheme} version {told.version}: {told.assessments} assessments, {told.rules} rules, "
        f"{told.senders} senders; the marks come out the same"
    )
    digests = (
        (say("评分表摘要", "digest of the scorecard"), told.digest),
        (say("证据包摘要", "digest of the bundle"), told.bundle),
    )
    return Answer(
        output=outputs.QualityBundle(recomputed=told),
        words=[say(zh, en), *(f"{name}: {digest}" for name, digest in digests)],
    )


def _disputes(found: list[Dispute]) -> Answer:
    columns = (say("编号", "id"), say("月份", "month"), say("发送方", "sender"), say("批次", "batch"), say("状态", "state"),
               say("提出人", "by"), say("原因", "why"), say("答复人", "answered by"), say("答复", "answer"), say("时间", "at"))  # fmt: skip
    rows = [
        (str(d.id), d.month, d.sender, str(d.batch), title(words.SCORE_DISPUTES, d.state), d.by, d.reason,
         d.answered_by or "", d.answer or "", moment(d.at))
        for d in found
    ]  # fmt: skip
    return Answer(
        output=outputs.QualityDisputes(disputes=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0, 3}))] if rows else [],
        words=[] if rows else [say("没有评分异议", "no mark is disputed")],
    )


def rows(found: Scorecard) -> list[tuple[str, ...]]:
    """The ranking as cells."""
    return [
        (str(r.rank or "–"), r.sender, r.score or "–", r.former or "–", r.change or "–") for r in found.rows
    ]


def parts(found: Scorecard) -> list[tuple[Any, ...]]:
    """Every mark's dimensions as cells."""

    def of(sender: str, mark: Mark) -> list[tuple[Any, ...]]:
        contract = mark.contract or say("全部", "all")
        own = [
            (sender, contract, p.dimension, p.weight, p.considered, p.unexpected, p.score or "–")
            for p in mark.parts
        ]
        return [*own, (sender, contract, say("合计", "mark"), "", "", "", mark.score or "–")]

    return [cells for r in found.rows for mark in (r.whole, *r.contracts) for cells in of(r.sender, mark)]


def _behind(opened: list[Behind]) -> list[tuple[Any, ...]]:
    return [
        (
            f"{b.route}/{b.number} ({b.batch})",
            b.contract,
            b.dimension,
            b.title,
            b.field or "",
            b.considered,
            b.unexpected,
            b.rows,
        )
        for b in opened
    ]


def _answer(found: Scorecard, opened: list[Behind], owed: list[Coverage]) -> Answer:
    tables = [Sheet(columns=tuple(say(*c) for c in ROWS), rows=rows(found), numbers=frozenset({0, 2, 3, 4}))]
    if opened:
        made = [tuple(map(str, cells)) for cells in _behind(opened)]
        tables.append(Sheet(columns=tuple(say(*c) for c in BEHIND), rows=made, numbers=frozenset({5, 6})))
    return Answer(
        output=outputs.QualityScorecard(scorecard=found, digest=found.digest, opened=opened, coverage=owed),
        sheets=[*tables, *coverages.sheet(owed)],
        words=[*_notes(found)],
    )


def _notes(found: Scorecard) -> list[str]:
    approved = say(f"批准: {found.approved_by} {found.document or ''}", f"approved by {found.approved_by} {found.document or ''}") \
        if found.approved_by else say("权重未经批准, 评分表不能发布", "the weights are not approved: it cannot be published")  # fmt: skip
    stands = say(f"已发布, 第 {found.version} 版", f"published, version {found.version}") if found.version else say("未发布, 为当前数", "not published: as it stands now")  # fmt: skip
    out = say("异议成立, 不计入: ", "left out after a dispute: ") + ", ".join(found.left_out)
    return [stands, say(*found.formula), approved, *([out] if found.left_out else [])]


def _write(
    found: Scorecard, owed: list[Coverage], *, html: Path | None, xlsx: Path | None, pdf: Path | None
) -> None:
    try:
        if html is not None:
            html.write_text(printing.render("quality.html", d=data(found, owed)), encoding="utf-8")
        if xlsx is not None:
            xlsx.write_bytes(workbook(found, owed))
        if pdf is not None:
            pdf.write_bytes(typesetting.pdf("quality.typ", data(found, owed), fonts=[charts.font()]))
    except OSError as error:
        raise WrongUse(
            f"写不了文件: {error.strerror}", f"a file cannot be written: {error.strerror}"
        ) from None


def workbook(found: Scorecard, owed: list[Coverage]) -> bytes:
    """名次, 得分构成, 应有与实有, 说明."""
    made = (
        (say("名次", "ranks"), tuple(say(*c) for c in ROWS), rows(found)),
        (say("得分构成", "marks"), tuple(say(*c) for c in PARTS), parts(found)),
        (say("应有与实有", "coverage"), tuple(say(*c) for c in coverages.COLUMNS), coverages.rows(owed)),
        (say("说明", "notes"), (say("说明", "note"),), [(n,) for n in _notes(found)]),
    )
    return sheets.written(
        *(
            sheets.Sheet(name=n, columns=tuple(sheets.Column(title=c) for c in columns), rows=r)
            for n, columns, r in made
        )
    )


def data(found: Scorecard, owed: list[Coverage]) -> dict[str, Any]:
    """What the page and the paper are made of."""
    shown = [r for r in found.rows if r.score is not None][:CHARTED]
    chart = charts.bars([r.sender for r in shown], [float(r.score or 0) for r in shown], [r.score or "" for r in shown],
                        title=say("得分", "marks"), most=100.0) if shown else None  # fmt: skip
    year, month = map(int, found.month.split("-"))
    stands, formula, *rest = _notes(found)
    return {
        "title": "数据质量评分表 Data quality scorecard",
        "subtitle": f"{found.month} · {found.scheme}",
        "number": f"{found.month}/{found.scheme}",
        "date": [year, month, 1],
        "passed": found.version > 0,
        "outcome": stands,
        "words": "; ".join(rest),
        "facts": [[say("权重", "weights"), found.weights, say("摘要", "digest"), found.digest[:32]]],
        "parts": [
            part("名次 Ranks", ROWS, rows(found), (0, 2, 3, 4), chart=chart),
            part("得分构成 What the marks are made of", PARTS, parts(found), (3, 4, 5, 6), note=formula),
            part(
                "应有与实有 What should be there and what is",
                coverages.COLUMNS,
                coverages.rows(owed),
                (6, 7, 8, 9),
                note=OWED,
            ),
        ],
        "footer": f"{say('摘要', 'digest')} {found.digest[:16]} · {say('雷枢', 'Leishu')}",
    }
