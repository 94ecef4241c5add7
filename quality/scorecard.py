"""Scorecard: a month's marks of each sender, exact; formula and weights are printed beside the figures.

Of each dimension: (asked − unexpected) ÷ asked, over all rules that count under it. A mark is the mean of its
dimensions by weight, of those alone of which something was asked, in hundredths of a point, rounded down.
Integers and fractions throughout: two machines give the same digits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from quality.assessment import Statement

FORMULA = (
    "维度得分 = (查 − 不符) ÷ 查; 得分 = Σ 权重 × 维度得分 ÷ Σ 权重 × 100, 只计查过的维度, 百分位以下舍去",
    "dimension = (asked - unexpected) / asked; mark = sum of weight x dimension / sum of weights x 100, "
    "over the dimensions of which something was asked, cut behind the second decimal",
)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each dimension of a scheme counts, and who approved it."""

    id: str
    scheme: str
    title: str
    title_en: str = ""
    weights: dict[str, int]  # dimension: whole number, not negative
    valid_from: date
    valid_to: date | None = None
    approved_by: str | None = None  # none: a draft; its marks cannot be published
    approved_on: date | None = None
    document: str | None = None  # number of the document that approved it
    basis: str

    def __post_init__(self) -> None:
        if any(isinstance(w, bool) or w < 0 for w in self.weights.values()) or not sum(self.weights.values()):
            raise ValueError("weights: whole numbers, not negative, not all of them 0")
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to: not before valid_from")
        if (self.approved_by is None) != (self.approved_on is None):
            raise ValueError("approved_by and approved_on go together")


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What one rule came to over batches of one sender and contract."""

    sender: str
    contract: str
    statement: str  # digest
    considered: int
    unexpected: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """One dimension of a mark."""

    dimension: str
    weight: int
    considered: int
    unexpected: int
    score: str | None  # of 100; none where nothing was asked


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A sender's, or one of its contracts'."""

    contract: str | None  # none: all of the sender's
    score: str | None
    parts: list[Part]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One sender."""

    sender: str
    rank: int | None  # the same mark, the same rank
    score: str | None
    former: str | None  # last month's, as it was published
    change: str | None
    whole: Mark
    contracts: list[Mark]


@dataclass(frozen=True, kw_only=True)
class Scorecard:
    """评分表 of a month."""

    month: str  # 2026-10, of Asia/Shanghai
    scheme: str
    version: int
    weights: str
    approved_by: str | None
    document: str | None
    formula: tuple[str, str]
    rows: list[Row]
    left_out: list[str] = field(default_factory=list)  # batches that an upheld dispute took out

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(canonical(asdict(self))).hexdigest()


def canonical(given: Any) -> bytes:
    """JSON with sorted keys and no blanks."""
    return json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def scorecard(
    tallies: Iterable[Tally],
    statements: Mapping[str, Statement],
    weights: Weights,
    *,
    month: str,
    former: Mapping[str, str | None],
    left_out: Iterable[str] = (),
    version: int = 1,
) -> Scorecard:
    """The month's marks. ``former``: sender → last month's published mark."""
    sums: dict[str, dict[str | None, dict[str, list[int]]]] = {}
    for t in tallies:
        dimension = statements[t.statement].dimensions.get(weights.scheme)
        if dimension is None:
            continue
        for contract in (None, t.contract):
            own = sums.setdefault(t.sender, {}).setdefault(contract, {}).setdefault(dimension, [0, 0])
            own[0] += t.considered
            own[1] += t.unexpected
    exact = {sender: _mean(found[None], weights) for sender, found in sums.items()}
    ranked = sorted((m for m in exact.values() if m is not None), reverse=True)
    rows = []
    for sender in sorted(sums, key=lambda s: (-(exact[s] or Fraction(0)), exact[s] is None, s)):
        mark = exact[sender]
        score, rank = _points(mark), None if mark is None else ranked.index(mark) + 1
        before = former.get(sender)
        rows.append(
            Row(
                sender=sender, rank=rank, score=score, former=before, change=_change(score, before),
                whole=_mark(None, sums[sender][None], weights),
                contracts=[_mark(c, sums[sender][c], weights) for c in sorted(k for k in sums[sender] if k)],
            )
        )  # fmt: skip
    return Scorecard(
        month=month, scheme=weights.scheme, version=version, weights=weights.id, approved_by=weights.approved_by,
        document=weights.document, formula=FORMULA, rows=rows, left_out=sorted(left_out),
    )  # fmt: skip


def _mean(parts: Mapping[str, list[int]], weights: Weights) -> Fraction | None:
    counted = [(weights.weights.get(d, 0), Fraction(c - u, c)) for d, (c, u) in parts.items() if c]
    whole = sum(w for w, _ in counted)
    return sum((w * share for w, share in counted), Fraction(0)) / whole if whole else None


def _points(share: Fraction | None) -> str | None:
    if share is None:
        return None
    hundredths = share * 10_000 // 1
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _change(score: str | None, former: str | None) -> str | None:
    if score is None or former is None:
        return None
    moved = _hundredths(score) - _hundredths(former)
    return f"{'-' if moved < 0 else '+'}{abs(moved) // 100}.{abs(moved) % 100:02d}"


def _hundredths(score: str) -> int:
    whole, _, rest = score.partition(".")
    return int(whole) * 100 + int(rest)


def _mark(contract: str | None, parts: Mapping[str, list[int]], weights: Weights) -> Mark:
    by_weight = sorted(parts.items(), key=lambda p: (-weights.weights.get(p[0], 0), p[0]))
    made = [
        Part(dimension=d, weight=weights.weights.get(d, 0), considered=c, unexpected=u,
             score=_points(Fraction(c - u, c)) if c else None)
        for d, (c, u) in by_weight
    ]  # fmt: skip
    return Mark(contract=contract, score=_points(_mean(parts, weights)), parts=made)
