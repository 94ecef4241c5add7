"""Merge: one outcome for every row, decided as the rules say, and nothing carried over that was not changed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.merge import OUTCOMES, Authority, Merged, last_writers, merge

NAMES = ("a", "b", "id_no")
COMPANION = {"id_no_sealed": "id_no"}
RANKS = {  # the county decides over b
    "a": {"nation": 0, "city": 1, "county": 2, "other": 2},
    "b": {"county": 0, "nation": 1, "city": 2, "other": 2},
    "id_no": {"nation": 0, "city": 1, "county": 2, "other": 2},
}
PLATFORMS = ("nation", "city", "county", "other")
Values = dict[str, str | None]
Base = tuple[int, int | None, str, Values]  # version, own version, state, the covered fields
DOUBTED = ("stale", "conflicted")  # states of a copy that reads otherwise than we hold it does


@dataclass(frozen=True, kw_only=True)
class Row:
    """One incoming row, what the register has, and what its sender holds."""

    op: str  # u, d
    incoming: Values  # the covered fields
    now: tuple[int, str, str, Values] | None  # version, op, origin, all fields
    bases: tuple[Base, ...]
    writers: Values  # who wrote each field last
    fresh: bool


value = st.sampled_from(["x", "y", None])


@st.composite
def rows(draw: st.DrawFn, covered: tuple[str, ...]) -> Row:
    fields = st.fixed_dictionaries(dict.fromkeys(covered, value))
    now, bases = None, []
    writers: Values = {}
    if draw(st.integers(0, 3)):
        every = st.fixed_dictionaries(dict.fromkeys(NAMES, value))
        version = draw(st.integers(1, 3))
        origin = draw(st.sampled_from([*PLATFORMS, "gone away"]))
        now = (version, draw(st.sampled_from("uud")), origin, draw(every))
        writers = {n: draw(st.sampled_from([*PLATFORMS, "gone away"])) for n in covered}
        for at in draw(st.lists(st.integers(0, version), max_size=3, unique=True)):
            own = draw(st.none() | st.integers(1, max(at, 1)))
            same = draw(st.booleans())  # often as the register says
            has = {n: now[3][n] for n in covered} if same else draw(fields)
            bases.append((at, own, draw(st.sampled_from(["held", "held", *DOUBTED, "withdrawn"])), has))
    sent = draw(st.sampled_from(["new", "now", "base", "mixed"]))
    incoming = draw(fields)
    if sent == "now" and now:
        incoming = {n: now[3][n] for n in covered}
    elif sent != "new" and bases:
        incoming = dict(draw(st.sampled_from(bases))[3])
        if sent == "mixed":
            name = draw(st.sampled_from(covered))
            incoming[name] = draw(value)
    op = "d" if now and draw(st.integers(0, 3)) == 0 else "u"
    return Row(
        op=op, incoming=dict.fromkeys(covered) if op == "d" else incoming, now=now, bases=tuple(bases),
        writers=writers, fresh=op != "d" and draw(st.integers(0, 4)) == 0,
    )  # fmt: skip


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[str, ...], str, list[Row]]:
    covered = draw(st.sampled_from([NAMES, ("a", "b"), ("a",)]))
    return covered, draw(st.sampled_from(list(PLATFORMS))), draw(st.lists(rows(covered), max_size=6))


def sealed(values: Values) -> bytes | None:
    number = values.get("id_no")
    return None if number is None else f"sealed {number}".encode()


def merged(covered: tuple[str, ...], sender: str, given_rows: list[Row]) -> Merged:
    text = dict.fromkeys(NAMES, pl.String)
    some = dict.fromkeys(covered, pl.String)
    companion = {"id_no_sealed": pl.Binary} if "id_no" in covered else {}
    incoming, current, held, by = [], [], [], []
    for n, row in enumerate(given_rows):
        uid = f"uid-{n}"
        own: dict[str, Any] = {"_row": 10 * n, "_op": row.op, "uid": uid, "fresh": row.fresh, **row.incoming}
        if companion:
            own["id_no_sealed"] = sealed(row.incoming)
        incoming.append(own)
        if row.now:
            version, op, origin, values = row.now
            current.append({"uid": uid, "version": version, "op": op, "origin": origin, **values,
                            "id_no_sealed": sealed(values)})  # fmt: skip
            by.append({"uid": uid, **row.writers})
        for at, mine, state, has in row.bases:
            doubted = list(covered) if state in DOUBTED else None
            held.append(
                {"uid": uid, "version": at, "own_version": mine, "state": state, "doubted": doubted, **has}
            )
    return merge(
        pl.DataFrame(incoming, schema={"_row": pl.Int64, "_op": pl.String, "uid": pl.String, "fresh": pl.Boolean,
                                       **some, **companion}),
        pl.DataFrame(current, schema={"uid": pl.String, "version": pl.Int32, "op": pl.String, "origin": pl.String,
                                      **text, "id_no_sealed": pl.Binary}),
        pl.DataFrame(held, schema={"uid": pl.String, "version": pl.Int32, "own_version": pl.Int32,
                                   "state": pl.String, "doubted": pl.List(pl.String), **some}),
        pl.DataFrame(by, schema={"uid": pl.String, **some}),
        authority=Authority(sender=sender, ranks=RANKS), names=NAMES, companions=COMPANION,
    )  # fmt: skip


def contest(name: str, sender: str, writer: str | None) -> str:
    """Whose word counts for one field."""
    if writer == sender:
        return "taken"
    theirs = RANKS[name].get(str(writer), len(RANKS[name]))
    mine = RANKS[name][sender]
    return "taken" if mine < theirs else "lost" if mine > theirs else "tied"


def fates(row: Row, sender: str) -> dict[str, str]:
    """What becomes of each covered field: taken, lost, tied, or nothing at all."""
    if row.now is None:
        return dict.fromkeys(row.incoming, "taken")
    _, op, _, values = row.now
    if op == "d":
        return {}
    known = [b for b in row.bases if b[0] > 0 and b[2] != "withdrawn"]
    bases = [b[3] for b in known]
    doubted = any(b[2] in DOUBTED for b in known)
    found = {}
    for name, given_value in row.incoming.items():
        moved = not bases or row.fresh or doubted or any(values[name] != b[name] for b in bases)
        if row.op == "d":
            if moved:
                found[name] = contest(name, sender, row.writers[name])
        elif given_value != values[name] and all(given_value != b[name] for b in bases):
            found[name] = contest(name, sender, row.writers[name]) if moved else "taken"
    return found


def decided(row: Row, sender: str) -> str:
    """What must become of one row, said once more and otherwise: value by value, not column by column."""
    if row.now is None:
        return "registered"  # never seen
    if row.op == "d" and any(b[2] == "withdrawn" for b in row.bases):
        return "echoed"  # it deletes what we told it to delete
    if row.now[1] == "d":
        return "unchanged" if row.op == "d" else "superseded"  # nothing rises again
    found = set(fates(row, sender).values())
    if row.op == "d":
        return "superseded" if "lost" in found else "conflicted" if "tied" in found else "registered"
    for fate, outcome in (("taken", "registered"), ("tied", "conflicted"), ("lost", "superseded")):
        if fate in found:
            return outcome
    shown = [b for b in row.bases if b[0] > 0 and b[2] != "withdrawn" and b[3] == row.incoming]
    return "echoed" if shown and not any(b[0] == b[1] for b in shown) else "unchanged"


@settings(deadline=None, max_examples=150)
@given(cases())
def test_every_row_has_one_outcome_and_it_is_the_one_that_the_rules_give(
    case: tuple[tuple[str, ...], str, list[Row]],
) -> None:
    covered, sender, given_rows = case
    made = merged(covered, sender, given_rows)
    assert made.outcomes["_row"].to_list() == [10 * n for n in range(len(given_rows))]
    assert made.outcomes["outcome"].to_list() == [decided(r, sender) for r in given_rows]
    assert set(made.outcomes["outcome"]) <= set(OUTCOMES)
    assert made.outcomes["new"].to_list() == [r.now is None for r in given_rows]


@settings(deadline=None, max_examples=150)
@given(cases())
def test_what_is_registered_is_the_next_version_with_the_changed_fields_alone(
    case: tuple[tuple[str, ...], str, list[Row]],
) -> None:
    covered, sender, given_rows = case
    made = merged(covered, sender, given_rows)
    wins = [n for n, r in enumerate(given_rows) if decided(r, sender) == "registered"]
    assert made.registered["_row"].to_list() == [10 * n for n in wins], "each once, in order"
    after = {row["uid"]: row for row in made.outcomes.iter_rows(named=True)}
    for n, row in zip(wins, made.registered.iter_rows(named=True), strict=True):
        of = given_rows[n]
        before: Values = of.now[3] if of.now else dict.fromkeys(NAMES)
        assert row["version"] == after[row["uid"]]["version"] == (of.now[0] if of.now else 0) + 1
        assert row["_op"] == of.op
        wanted = dict(before)
        if of.op != "d":
            for name in (n for n, fate in fates(of, sender).items() if fate == "taken"):
                wanted[name] = of.incoming[name]
        assert {name: row[name] for name in NAMES} == wanted, (
            "what it did not change stays as the register has it"
        )
        assert row["id_no_sealed"] == sealed(wanted), "sealed bytes go with their field"
    for n, r in enumerate(given_rows):
        if n not in wins:
            assert after[f"uid-{n}"]["version"] == (r.now[0] if r.now else None)


@settings(deadline=None, max_examples=150)
@given(cases())
def test_what_is_for_a_person_is_named_and_whether_the_sender_agrees(
    case: tuple[tuple[str, ...], str, list[Row]],
) -> None:
    covered, sender, given_rows = case
    made = merged(covered, sender, given_rows)
    after = {row["uid"]: row for row in made.registered.iter_rows(named=True)}
    for row, out in zip(given_rows, made.outcomes.iter_rows(named=True), strict=True):
        found = fates(row, sender)
        tied = [n for n in covered if found.get(n) == "tied"]
        if row.op == "d":
            tied = ["*"] if tied else []
        assert out["contested"] == tied
        now = after.get(out["uid"]) or (row.now and {"_op": row.now[1], **row.now[3]}) or {}
        if row.op == "d":
            assert out["agrees"] == (now["_op"] == "d")
        else:
            assert out["agrees"] == (now["_op"] != "d" and all(now[n] == v for n, v in row.incoming.items()))


@settings(deadline=None, max_examples=100)
@given(cases())
def test_the_same_again_is_no_change(case: tuple[tuple[str, ...], str, list[Row]]) -> None:
    """Once the outcome is written, the very same rows register nothing."""
    covered, sender, given_rows = case
    made = merged(covered, sender, given_rows)
    written = {r["uid"]: r for r in made.registered.iter_rows(named=True)}
    again = []
    for n, row in enumerate(given_rows):
        out, new = made.outcomes.row(n, named=True), written.get(f"uid-{n}")
        now, bases, writers = row.now, row.bases, dict(row.writers)
        if new:
            before = row.now[3] if row.now else dict.fromkeys(NAMES)
            now = (new["version"], new["_op"], sender, {name: new[name] for name in NAMES})
            writers |= {n: sender for n in covered if new[n] != before[n] or row.now is None}
        if out["agrees"] and now and out["outcome"] in ("registered", "unchanged"):
            state = "withdrawn" if row.op == "d" else "held"
            bases = ((now[0], now[0], state, {n: now[3][n] for n in covered}),)
        elif out["outcome"] not in ("unchanged", "echoed"):
            bases = tuple(
                (at, own, state if state == "withdrawn" else "stale", has) for at, own, state, has in bases
            )
        again.append(
            Row(op=row.op, incoming=row.incoming, now=now, bases=bases, writers=writers, fresh=False)
        )
    second = merged(covered, sender, again)
    assert second.registered.is_empty()


@settings(deadline=None, max_examples=100)
@given(cases(), st.randoms(use_true_random=False))
def test_rows_do_not_mind_their_neighbours(case: tuple[tuple[str, ...], str, list[Row]], chance: Any) -> None:
    """Batching and order change no outcome."""
    covered, sender, given_rows = case
    together = merged(covered, sender, given_rows).outcomes["outcome"].to_list()
    assert [merged(covered, sender, [r]).outcomes["outcome"][0] for r in given_rows] == together
    order = list(range(len(given_rows)))
    chance.shuffle(order)
    shuffled = merged(covered, sender, [given_rows[n] for n in order]).outcomes["outcome"].to_list()
    assert shuffled == [together[n] for n in order]


versions = st.lists(
    st.tuples(st.sampled_from(PLATFORMS), st.fixed_dictionaries({"a": value, "b": value})),
    min_size=1,
    max_size=6,
)


@given(st.lists(versions, max_size=4), st.randoms(use_true_random=False))
def test_the_last_writer_is_who_gave_the_value_that_stands(given_rows: list[Any], chance: Any) -> None:
    flat = [
        {"uid": f"uid-{u}", "version": v, "origin": origin, **values}
        for u, past in enumerate(given_rows)
        for v, (origin, values) in enumerate(past, start=1)
    ]
    chance.shuffle(flat)
    schema = {"uid": pl.String, "version": pl.Int32, "origin": pl.String, "a": pl.String, "b": pl.String}
    found = {
        r["uid"]: r for r in last_writers(pl.DataFrame(flat, schema=schema), ("a", "b")).iter_rows(named=True)
    }
    assert len(found) == len(given_rows)
    for u, past in enumerate(given_rows):
        for name in ("a", "b"):
            writer = past[0][0]
            for (_, before), (origin, after) in itertools.pairwise(past):
                if before[name] != after[name]:
                    writer = origin
            assert found[f"uid-{u}"][name] == writer
