"""A suite asked of a data file at the command line, by our engine or by Great Expectations itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.calendar import china_day
from catalog.errors import Blocked, DeclarationError, say
from exchange.cli import quality_outputs as outputs
from exchange.cli import words
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title

if TYPE_CHECKING:
    import pyarrow as pa

    from quality.outcome import Outcome

LEISHU, GX = "leishu", "gx"


def judge(data: Path, *, suite: Path, engine: str, key: str | None) -> Answer:
    """Exit code 1 where an expectation does not hold, 4 where one could not be asked."""
    from quality import apart, datafile
    from quality.gx.reference import shipped_known
    from quality.outcome import outcomes
    from quality.suite import parted

    if engine not in (LEISHU, GX):
        raise WrongUse(f"--engine 须为 {LEISHU} 或 {GX}", f"--engine is {LEISHU} or {GX}")
    if not data.is_file():
        raise WrongUse(f"没有文件 {data}", f"there is no file {data}")
    try:
        text = suite.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse(
            f"读不了 {suite}: {type(error).__name__}", f"{suite} cannot be read: {type(error).__name__}"
        ) from None
    made, elsewhere, problems = parted(text, file=suite.name)
    if problems:
        raise DeclarationError(problems)

    def read() -> Iterator[pa.RecordBatch]:
        return datafile.batches(data)

    first = next(read())
    if key is not None and key not in first.schema.names:
        raise WrongUse(f"{data.name} 没有列 {key}", f"{data.name} has no column {key}")
    given: list[dict[str, Any]] = json.loads(text)["expectations"]
    if engine == GX:
        elsewhere = dict(enumerate(given))
        made = None
    found: dict[int, Outcome] = {}
    if made is not None:
        known = shipped_known(china_day(datetime.now(UTC)))
        own = outcomes(read, made, known=known, key=key)
        found |= dict(zip((e.index for e in made.expectations), own, strict=True))
    if elsewhere:
        asked = [elsewhere[i] for i in sorted(elsewhere)]
        try:
            theirs = apart.outcomes(read, suite.stem, asked, key=key)
        except Blocked as error:  # what our engine found stands
            theirs = [_unasked(one, error) for one in asked]
        found |= dict(zip(sorted(elsewhere), theirs, strict=True))
    return _answer(suite.stem, [found[i] for i in sorted(found)])


def _unasked(one: dict[str, Any], error: Blocked) -> Outcome:
    from quality.outcome import Outcome

    own = (one.get("meta") or {}).get("leishu", {})
    return Outcome(expectation=one["type"], kwargs=one["kwargs"], title=own.get("title", ""),
                   severity=own.get("severity", "error"), engine=GX, error=error.en)  # fmt: skip


def _answer(suite: str, found: list[Outcome]) -> Answer:
    columns = (say("序", "no."), say("规则", "expectation"), say("级别", "severity"), say("引擎", "engine"), say("结果", "result"),
               say("查", "elements"), say("空值", "missing"), say("不符", "unexpected"), say("行号", "rows"))  # fmt: skip
    rows = [
        (str(n), one.title or one.expectation, title(words.SEVERITIES, one.severity), one.engine, _result(one),
         _count(one.element_count), _count(one.missing_count), _count(one.unexpected_count),
         ", ".join(map(str, one.unexpected_index[:8])) + (" …" if len(one.unexpected_index) > 8 else ""))
        for n, one in enumerate(found, 1)
    ]  # fmt: skip
    failed = sum(one.success is False for one in found)
    errors = [f"{n}: {one.error}" for n, one in enumerate(found, 1) if one.error is not None]
    told = say(
        f"{len(found)} 条规则, {failed} 条不符合, {len(errors)} 条没能查",
        f"{len(found)} expectations, {failed} do not hold, {len(errors)} could not be asked",
    )
    return Answer(
        output=outputs.QualityJudge(suite=suite, success=all(one.success for one in found), outcomes=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0, 5, 6, 7}))],
        words=[told, *errors],
        code=Code.REFUSED if errors else Code.FINDING if failed else Code.DONE,
    )


def _result(one: Outcome) -> str:
    if one.success is None:
        return say("没能查", "not asked")
    return say("符合", "holds") if one.success else say("不符合", "does not hold")


def _count(n: int | None) -> str:
    return "" if n is None else str(n)
