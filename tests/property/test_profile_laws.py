"""Profiles merge in any order; what is proposed holds for what it was made from; personal values are not shown."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import envelope
from catalog.identity import id_check_digit, org_check_digit, uscc_check_digit
from quality import apart, draft, profile_terms
from quality.gx.reference import shipped_known
from quality.outcome import outcomes
from quality.profile import Asked, Profile, asking, gathered, of_batches
from quality.propose import Proposed, propose
from quality.suite import parse

KNOWN = shipped_known(date(2026, 11, 26))
TERMS = profile_terms.shipped()
SURNAMES, GIVEN = "王李张刘陈", "伟芳娜敏静军磊"
Maker = Callable[[random.Random], Any]


def id_number(r: random.Random) -> str:
    body = f"330683{date(1950, 1, 1) + timedelta(days=r.randrange(20_000)):%Y%m%d}{r.randrange(1000):03d}"
    return body + id_check_digit(body)


def uscc(r: random.Random) -> str:
    organisation = "MA" + "".join(r.choice("0123456789ABCDEFGH") for _ in range(6))
    body = "91330683" + organisation + org_check_digit(organisation)
    return body + uscc_check_digit(body)


def mobile(r: random.Random) -> str:
    return f"13{r.randrange(10**9):09d}"


def person(r: random.Random) -> str:
    return r.choice(SURNAMES) + r.choice(GIVEN)


PERSONAL: dict[str, tuple[pa.DataType, Maker]] = {
    "c_id": (pa.string(), id_number),
    "c_mobile": (pa.string(), mobile),
    "c_people": (pa.string(), person),
    "c_number": (pa.int64(), lambda r: int(mobile(r))),
    "birth_day": (pa.date32(), lambda r: date(1950, 1, 1) + timedelta(days=r.randrange(20_000))),
    "联系人": (pa.string(), lambda r: r.choice(["甲方代表", "乙方代表"])),
    "c_mixed": (pa.string(), lambda r: id_number(r) if r.random() < 0.2 else "无"),
    "c_masked": (pa.string(), lambda r: r.choice(SURNAMES) + "*" + r.choice(GIVEN)),
}
OPEN: dict[str, tuple[pa.DataType, Maker]] = {
    "code": (pa.string(), lambda r: f"K{r.randrange(10**9):09d}"),
    "near_code": (pa.string(), lambda r: f"K{r.randrange(3000):06d}"),
    "c_uscc": (pa.string(), uscc),
    "level": (pa.string(), lambda r: r.choice(["一级", "二级", "三级"])),
    "rare": (pa.string(), lambda r: "稀有" if r.random() < 0.01 else r.choice(["甲", "乙"])),
    "text": (pa.string(), lambda r: r.choice(["", " ", "x", "防雷装置", "a\n", "330683", "2026-01-31", "浙气罚〔2026〕3号"])),
    "document": (pa.string(), lambda r: f"浙气罚〔20{r.randrange(10, 27)}〕{r.randrange(1, 999)}号"),
    "division": (pa.string(), lambda r: r.choice(["330683", "330521", "330600"])),
    "iso": (pa.string(), lambda r: f"{date(2020, 1, 1) + timedelta(days=r.randrange(2000))}"),
    "count": (pa.int64(), lambda r: r.randrange(-50, 4000)),
    "status": (pa.int32(), lambda r: r.choice([1, 2, 3])),
    "lon": (pa.decimal128(9, 6), lambda r: Decimal(r.randrange(118_000_000, 123_000_000)).scaleb(-6)),
    "lat": (pa.float64(), lambda r: r.choice([29.5, 30.1, 28 + r.random(), float("nan")])),
    "begun": (pa.date32(), lambda r: date(2024, 1, 1) + timedelta(days=r.randrange(400))),
    "ended": (pa.date32(), lambda r: date(2024, 6, 1) + timedelta(days=r.randrange(900))),
    "at": (pa.timestamp("us", tz="UTC"), lambda r: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=r.randrange(90_000))),
    "plain_at": (pa.timestamp("s"), lambda r: datetime(2026, 1, 1) + timedelta(days=r.randrange(90))),  # noqa: DTZ001
    "flag": (pa.bool_(), lambda r: r.random() < 0.5),
    "list": (pa.list_(pa.int64()), lambda r: [r.randrange(9)]),
    "nothing": (pa.null(), lambda r: None),
    "small": (pa.float32(), lambda r: r.random() / 7),
}  # fmt: skip
ALL = {**PERSONAL, **OPEN}


@st.composite
def frames(draw: st.DrawFn, names: list[str]) -> pa.RecordBatch:
    """Some of these columns, some rows, some of them missing."""
    chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=6, unique=True))
    rows = draw(st.sampled_from([0, 1, 29, 31, 250, 1200]))
    r = random.Random(draw(st.integers(0, 2**32)))
    gaps = {n: draw(st.sampled_from([0.0, 0.0, 0.02, 0.6])) for n in chosen}
    columns = [
        pa.array([None if r.random() < gaps[n] else ALL[n][1](r) for _ in range(rows)], ALL[n][0])
        for n in chosen
    ]
    operations = pa.array(["d" if r.random() < 0.02 else "i" for _ in range(rows)], pa.string())
    numbers = pa.array(range(rows), pa.int64())
    return pa.RecordBatch.from_arrays([numbers, operations, *columns], [envelope.ROW, envelope.OP, *chosen])


def profiled(batch: pa.RecordBatch) -> tuple[Profile, Asked, Proposed]:
    asked = asking(batch.schema, TERMS, KNOWN)
    made = of_batches([batch], asked)
    return made, asked, propose(made, asked)


def pieces(batch: pa.RecordBatch, cuts: list[int]) -> Iterator[pa.RecordBatch]:
    edges = [0, *sorted(min(c, batch.num_rows) for c in cuts), batch.num_rows]
    for low, high in pairwise(edges):
        yield batch.slice(low, high - low)


@given(frames([*ALL]), st.lists(st.integers(0, 1200), max_size=14), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_parts_in_any_order_are_the_whole(
    batch: pa.RecordBatch, cuts: list[int], shuffle: random.Random
) -> None:
    made, asked, found = profiled(batch)
    parts = list(pieces(batch, cuts))
    shuffle.shuffle(parts)
    again = of_batches(parts, asked)
    assert again == made
    assert propose(again, asked) == found
    assert Profile(terms=TERMS) + made == made
    some = list(gathered(pieces(batch, cuts), most=40))
    assert sum(b.num_rows for b in some) == min(40, batch.num_rows)


@given(frames([*ALL]))
@settings(max_examples=60)
def test_what_is_proposed_holds_and_its_counts_are_the_engines(batch: pa.RecordBatch) -> None:
    found = profiled(batch)[2]
    if not found.proposals:
        return
    source = draft.Source(name="x.csv", rows=batch.num_rows, whole=True, at=datetime(2026, 11, 26, tzinfo=UTC), terms="default")  # fmt: skip
    text = draft.text_of(draft.drafted(found.proposals, name="x", source=source))
    assert parse(text, file="x.json")[0] is None, "nobody has accepted it"
    done = draft.accept(text, None, file="x.json", name="x", by="张三", at=datetime(2026, 11, 26, tzinfo=UTC))
    suite, problems = parse(draft.text_of(done.suite), file="x.json", name="x")
    assert suite is not None, problems
    told = outcomes(lambda: iter([batch]), suite, known=KNOWN)
    for one, outcome in zip(found.proposals, told, strict=True):
        assert outcome.error is None
        assert outcome.success, (one.id, one.kwargs)
        seen = one.evidence
        assert (seen.failing, seen.missing) == (outcome.unexpected_count, outcome.missing_count), one.id
        assert seen.considered == seen.holding + seen.failing
        assert (one.kwargs.get("mostly") is None) == (seen.failing == 0)
        assert one.severity == "warn" or not seen.failing


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


@given(frames([*PERSONAL]))
@settings(max_examples=60)
def test_no_value_of_a_personal_column_is_shown(batch: pa.RecordBatch) -> None:
    found = profiled(batch)[2]
    told = set(_texts(msgspec.to_builtins(found)))
    source = draft.Source(name="x", rows=batch.num_rows, whole=True, at=datetime(2026, 11, 26, tzinfo=UTC), terms="default")  # fmt: skip
    written = (
        draft.text_of(draft.drafted(found.proposals, name="x", source=source)) if found.proposals else ""
    )
    for name in batch.schema.names[2:]:
        values = {str(v) for v in batch.column(name).to_pylist() if v is not None}
        assert not values & told, name
        assert not [v for v in values if len(v) > 2 and v in written], name
        (seen,) = (s for s in found.columns if s.name == name)
        assert (seen.values, seen.low, seen.high) == (None, None, None)


@given(frames([*OPEN]))
@settings(max_examples=40)
def test_of_others_only_what_many_share_is_shown(batch: pa.RecordBatch) -> None:
    live = batch.filter(pa.compute.not_equal(batch.column(envelope.OP), "d"))
    for seen in profiled(batch)[2].columns:
        values = [str(v) for v in live.column(seen.name).to_pylist() if v is not None]
        for value, n in (seen.values or {}).items():
            assert n == values.count(value) >= TERMS.seen_often
        assert seen.low is None or len(values) >= TERMS.seen_often


@pytest.mark.parametrize("seed", [1, 2])
def test_great_expectations_agrees(seed: int) -> None:
    r = random.Random(seed)
    names = [n for n in ALL if n not in ("list", "nothing", "plain_at", "small")]
    columns = [pa.array([None if r.random() < 0.01 * (i % 3) else ALL[n][1](r) for _ in range(600)], ALL[n][0])
               for i, n in enumerate(names)]  # fmt: skip
    heads = [pa.array(range(600), pa.int64()), pa.repeat(pa.scalar("i"), 600)]
    batch = pa.RecordBatch.from_arrays([*heads, *columns], [envelope.ROW, envelope.OP, *names])
    found = profiled(batch)[2]
    assert len({p.id.rpartition(".")[2] for p in found.proposals}) > 11
    source = draft.Source(name="x", rows=600, whole=True, at=datetime(2026, 11, 26, tzinfo=UTC), terms="default")  # fmt: skip
    text = draft.text_of(draft.drafted(found.proposals, name="x", source=source))
    done = draft.accept(text, None, file="x", name="x", by="张三", at=datetime(2026, 11, 26, tzinfo=UTC))
    given = json.loads(draft.text_of(done.suite))["expectations"]
    told = apart.outcomes(lambda: iter([batch]), "x", given)
    for one, outcome in zip(found.proposals, told, strict=True):
        assert outcome.error is None, (one.id, outcome.error)
        assert outcome.success, (one.id, one.kwargs)
        assert outcome.unexpected_count == one.evidence.failing, one.id
