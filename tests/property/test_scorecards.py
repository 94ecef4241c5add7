"""Marks are exact and come out of the bundle alone; no edit of a bundle goes unseen."""

from __future__ import annotations

import io
import json
import random
import zipfile
from dataclasses import asdict, replace
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import Unreadable
from quality.assessment import Assessment, Result, Statement, of_results
from quality.bundle import MANIFEST, lines, packed, recompute
from quality.scorecard import Scorecard, Tally, Weights, canonical, scorecard

WEIGHTS = Weights(id="w", scheme="s", title="权重", weights={"完整性": 3, "规范性": 1, "及时性": 0}, valid_from=date(2026, 1, 1),
                  approved_by="王", approved_on=date(2026, 1, 2), document="气发〔2026〕1号", basis="A")  # fmt: skip
RULES = [
    Statement(id=f"r{n}", rule="rule", field=None, severity="error", dimensions={"s": d} if d else {})
    for n, d in enumerate(("完整性", "规范性", "规范性", "及时性", None))
]
STATED = {r.digest: r for r in RULES}
counts = st.integers(0, 400).flatmap(lambda c: st.tuples(st.just(c), st.integers(0, c)))
tallies = st.lists(
    st.builds(
        lambda s, c, r, n: Tally(sender=s, contract=c, statement=r, considered=n[0], unexpected=n[1]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["x", "y"]),
        st.sampled_from(list(STATED)),
        counts,
    ),
    max_size=20,
)


def made(given: list[Tally], **more: Any) -> Scorecard:
    return scorecard(given, STATED, WEIGHTS, month="2026-10", former=more.pop("former", {}), **more)


@settings(deadline=None)
@given(tallies, st.randoms(use_true_random=False))
def test_marks_are_exact_and_no_order_or_division_of_the_counts_changes_them(
    given: list[Tally], order: Any
) -> None:
    whole = made(given)
    assert made(order.sample(given, len(given))) == whole
    halves = [
        replace(t, considered=t.considered - t.considered // 2, unexpected=t.unexpected - t.unexpected // 2)
        for t in given
    ]
    halves += [replace(t, considered=t.considered // 2, unexpected=t.unexpected // 2) for t in given]
    assert made(halves) == whole
    for row in whole.rows:
        shares = {p.dimension: (p.weight, p.considered, p.unexpected) for p in row.whole.parts}
        asked = [(w, c, u) for w, c, u in shares.values() if c]
        weight = sum(w for w, _, _ in asked)
        if not weight:
            assert (row.score, row.rank) == (None, None)
            continue
        exact = sum(Fraction(w * (c - u), c) for w, c, u in asked) / weight
        assert row.score is not None
        assert 0 <= exact * 100 - Fraction(row.score) < Fraction(1, 100)
        better = [
            r for r in whole.rows if r.score is not None and r.rank is not None and r.rank < (row.rank or 0)
        ]
        assert row.rank == len(better) + 1
        assert sum(p.considered for m in row.contracts for p in m.parts) == sum(
            c for _, c, _ in shares.values()
        )


def test_ranks_and_changes() -> None:
    given = [Tally(sender=s, contract="x", statement=RULES[0].digest, considered=1000, unexpected=u)
             for s, u in (("a", 1), ("b", 1), ("c", 0), ("d", 999))]  # fmt: skip
    rows = made(given, former={"a": "99.50", "b": "100.00", "d": "0.10"}).rows
    assert [(r.sender, r.rank, r.score, r.change) for r in rows] == [
        ("c", 1, "100.00", None), ("a", 2, "99.90", "+0.40"), ("b", 2, "99.90", "-0.10"), ("d", 4, "0.10", "+0.00"),
    ]  # fmt: skip
    assert made([replace(given[0], considered=10**9)]).rows[0].score == "99.99", "never rounded up to all"


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": {}},
        {"weights": {"x": 0}},
        {"weights": {"x": -1}},
        {"approved_on": None},
        {"valid_to": date(2025, 1, 1)},
    ],
)
def test_weights_that_cannot_be_meant_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        replace(WEIGHTS, **wrong)


def bundle(seed: int, *, left: bool = False) -> tuple[dict[str, bytes], Scorecard]:
    """A sound bundle's files."""
    dice = random.Random(seed)
    assessed: list[dict[str, Any]] = []
    ledger: list[dict[str, Any]] = []
    tallied: list[Tally] = []
    for n in range(5):
        results = [
            Result(
                statement=r,
                considered=20,
                missing=1,
                bad=pa.array(sorted(dice.sample(range(20), dice.randrange(4))), pa.int64()),
            )
            for r in RULES
        ]
        one: Assessment = of_results("processing", results, rows=21, rejected=2)
        sender = dice.choice("ab")
        assessed.append(
            {**one.to_json(), "sender": sender, "contract": "x", "route": f"{sender}.x", "number": f"{n}"}
        )
        ledger.append(
            {
                "position": n + 1,
                "kind": "batch_closed",
                "facts": {"batch": n, "assessments": {"processing": one.digest}},
            }
        )
        if not (left and n == 0):
            tallied += [
                Tally(
                    sender=sender,
                    contract="x",
                    statement=r.statement.digest,
                    considered=20,
                    unexpected=r.unexpected,
                )
                for r in results
            ]
    out = [f"{assessed[0]['route']}/0"] if left else []
    card = made(tallied, former={"a": "90.00"}, left_out=out, version=1)
    ledger.append(
        {
            "position": 9,
            "kind": "scorecard_published",
            "facts": {"digest": card.digest, "month": "2026-10", "scheme": "s"},
        }
    )
    return {
        "assessments.jsonl": lines(assessed), "former.json": canonical({"a": "90.00"}), "ledger.jsonl": lines(ledger),
        "scorecard.json": canonical(asdict(card)), "statements.jsonl": lines([r.to_json() for r in RULES]),
        "weights.json": canonical(msgspec.to_builtins(WEIGHTS)),
    }, card  # fmt: skip


@pytest.mark.parametrize("left", [False, True])
def test_a_bundle_alone_gives_the_same_digits(left: bool) -> None:
    files, card = bundle(3, left=left)
    content, digest = packed(files)
    assert packed(files) == (content, digest)
    told, again = recompute(content)
    assert again == card
    assert (told.digest, told.bundle, told.assessments) == (card.digest, digest, 5)


def changed(value: Any, dice: random.Random) -> Any:
    """The value with one number or text in it changed."""
    if isinstance(value, dict) and value:
        key = dice.choice(sorted(value))
        return {**value, key: changed(value[key], dice)}
    if isinstance(value, list) and value:
        at = dice.randrange(len(value))
        return [changed(v, dice) if i == at else v for i, v in enumerate(value)]
    if isinstance(value, bool) or value is None:
        return "x"
    if isinstance(value, int):
        return value + 1
    return f"{value}0" if isinstance(value, str) else [1]


TELLS = ("assessments.jsonl", "former.json", "scorecard.json", "weights.json", "statements.jsonl")


@settings(deadline=None, max_examples=120)
@given(st.integers(0, 10**6), st.sampled_from(TELLS))
def test_a_change_is_found_even_where_the_manifest_was_made_anew(seed: int, name: str) -> None:
    dice = random.Random(seed)
    files, card = bundle(5)
    whole = name.endswith("l")
    given = [json.loads(x) for x in files[name].splitlines()] if whole else json.loads(files[name])
    edited = changed(given, dice)
    made_anew = lines(edited) if whole else canonical(edited)
    if name == "statements.jsonl" and json.loads(made_anew.splitlines()[0]).get("digest"):
        return
    try:
        _, again = recompute(packed({**files, name: made_anew})[0])
    except Unreadable:
        return
    assert again == card, "what is left is told apart by the digest of the bundle alone"
    assert packed({**files, name: made_anew})[1] != packed(files)[1]


@pytest.mark.parametrize("name", ["assessments.jsonl", "ledger.jsonl", "statements.jsonl"])
def test_a_line_that_is_missing_or_stands_twice_is_found(name: str) -> None:
    files, _ = bundle(5)
    rows = files[name].splitlines(keepends=True)
    for other in ([*rows[1:]], [*rows, rows[0]]):
        if name == "statements.jsonl" and len(other) > len(rows):
            continue  # the same rule twice says nothing more
        with pytest.raises(Unreadable):
            recompute(packed({**files, name: b"".join(other)})[0])


def test_a_damaged_or_strange_file_is_refused_with_what_is_wrong() -> None:
    files, _ = bundle(5)
    content, _ = packed(files)
    for broken in (b"", b"no zip", content[:-30], content[:100] + b"\0" * 50 + content[150:]):
        with pytest.raises(Unreadable):
            recompute(broken)
    fewer = {n: b for n, b in files.items() if n != "former.json"}
    with pytest.raises(Unreadable, match="missing"):
        recompute(packed(fewer)[0])
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "weights.json" else b""))
    with pytest.raises(Unreadable, match="manifest"):
        recompute(out.getvalue())
    assert zipfile.ZipFile(io.BytesIO(content)).namelist()[0] == MANIFEST
