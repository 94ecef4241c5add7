"""Merge: one outcome for every row, decided as the rules say, and nothing carried over that was not changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.merge import OUTCOMES, Authority, Merged, arrived, merge

NAMES = ("a", "b", "id_no")
COMPANION = {"id_no_sealed": "id_no"}
LEVELS = ("national", "municipal", "county")
PLATFORMS = {"nation": "national", "city": "municipal", "county": "county", "other": "county"}
Values = dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One incoming row, what the register has, and what its sender holds."""

    op: str  # u, d
    incoming: Values  # the covered fields
    now: tuple[int, str, str, Values] | None  # version, op, origin, all fields
    held: tuple[int, int | None, str, Values] | None  # version, own version, state, the covered fields


value = st.sampled_from(["x", "y", None])


@st.composite
def rows(draw: st.DrawFn, covered: tuple[str, ...]) -> Row:
    fields = st.fixed_dictionaries(dict.fromkeys(covered, value))
    now = held = None
    if draw(st.booleans()) or draw(st.booleans()):
        every = st.fixed_dictionaries(dict.fromkeys(NAMES, value))
        version = draw(st.integers(1, 3))
        origin = draw(st.sampled_from([*PLATFORMS, "gone away"]))
        now = (version, draw(st.sampled_from("uud")), origin, draw(every))
        if draw(st.booleans()) or draw(st.booleans()):
            at = draw(st.integers(1, version))
            own = draw(st.none() | st.integers(1, at))
            same = draw(st.booleans())  # often as the register says
            has = {n: now[3][n] for n in covered} if same else draw(fields)
            held = (at, own, draw(st.sampled_from(["held", "held", "stale", "withdrawn"])), has)
    sent = draw(st.sampled_from(["new", "now", "held"]))
    incoming = draw(fields)
    if sent == "now" and now:
        incoming = {n: now[3][n] for n in covered}
    elif sent == "held" and held:
        incoming = held[3]
    op = "d" if now and draw(st.integers(0, 3)) == 0 else "u"
    return Row(op=op, incoming=dict.fromkeys(covered) if op == "d" else incoming, now=now, held=held)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[str, ...], str, list[Row]]:
    covered = draw(st.sampled_from([NAMES, ("a", "b"), ("a",)]))
    return covered, draw(st.sampled_from(list(PLATFORMS))), draw(st.lists(rows(covered), max_size=6))


def sealed(values: Values) -> bytes | None:
    number = values.get("id_no")
    return None if number is None else f"sealed {number}".encode()


def frames(
    covered: tuple[str, ...], given_rows: list[Row]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """incoming, current, held, as collect makes them."""
    text = dict.fromkeys(NAMES, pl.String)
    some = dict.fromkeys(covered, pl.String)
    companion = {"id_no_sealed": pl.Binary} if "id_no" in covered else {}
    incoming, current, held = [], [], []
    for n, row in enumerate(given_rows):
        uid = f"uid-{n}"
        own: dict[str, Any] = {"_row": 10 * n, "_op": row.op, "uid": uid, **row.incoming}
        if companion:
            own["id_no_sealed"] = sealed(row.incoming)
        incoming.append(own)
        if row.now:
            version, op, origin, values = row.now
            current.append(
                {
                    "uid": uid,
                    "version": version,
                    "op": op,
                    "origin": origin,
                    **values,
                    "id_no_sealed": sealed(values),
                }
            )
        if row.held:
            at, mine, state, has = row.held
            held.append({"uid": uid, "version": at, "own_version": mine, "state": state, **has})
    return (
        pl.DataFrame(incoming, schema={"_row": pl.Int64, "_op": pl.String, "uid": pl.String, **some, **companion}),
        pl.DataFrame(
            current,
            schema={"uid": pl.String, "version": pl.Int32, "op": pl.String, "origin": pl.String, **text, "id_no_sealed": pl.Binary},
        ),
        pl.DataFrame(
            held, schema={"uid": pl.String, "version": pl.Int32, "own_version": pl.Int32, "state": pl.String, **some}
        ),
    )  # fmt: skip


def merged(covered: tuple[str, ...], sender: str, given_rows: list[Row]) -> Merged:
    authority = Authority(
        ranks={level: n for n, level in enumerate(LEVELS)}, sender=PLATFORMS[sender], origins=PLATFORMS
    )
    incoming, current, held = frames(covered, given_rows)
    return merge(incoming, current, held, authority=authority, names=NAMES, companions=COMPANION)


def rank(platform: str) -> int:
    return LEVELS.index(PLATFORMS[platform]) if platform in PLATFORMS else len(LEVELS)


def decided(row: Row, sender: str) -> str:
    """What must become of one row, said once more and otherwise: by cases, not by a chain of columns."""
    if row.now is None:
        return "registered"  # never seen
    version, op, origin, values = row.now
    contest = {-1: "registered", 0: "conflicted", 1: "superseded"}[
        (rank(sender) > rank(origin)) - (rank(sender) < rank(origin))
    ]
    state = row.held[2] if row.held else None
    in_step = row.held is not None and row.held[0] == version
    if row.op == "d":
        if state == "withdrawn":
            return "echoed"  # it deletes what we told it to delete
        if op == "d":
            return "unchanged"
        return "registered" if in_step else contest
    if op == "d":
        return "superseded"  # nothing rises again
    agrees = all(values[n] == v for n, v in row.incoming.items())
    if row.held is None or state == "withdrawn":
        return "unchanged" if agrees else contest
    at, own, _, has = row.held
    if row.incoming == has:
        return "unchanged" if at == own else "echoed"
    if in_step:
        return "registered"
    return "unchanged" if agrees else contest


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
        base = of.held[3] if of.held and of.held[2] != "withdrawn" else None
        wanted = dict(before)
        if of.op != "d":
            for name in covered:
                if base is None or of.incoming[name] != base[name]:
                    wanted[name] = of.incoming[name]
        assert {name: row[name] for name in NAMES} == wanted, (
            "what it did not change stays as the register has it"
        )
        assert row["id_no_sealed"] == sealed(wanted), "sealed bytes go with their field"
    for n, r in enumerate(given_rows):
        if n not in wins:
            assert after[f"uid-{n}"]["version"] == (r.now[0] if r.now else None)


@settings(deadline=None, max_examples=100)
@given(cases())
def test_the_same_again_is_no_change(case: tuple[tuple[str, ...], str, list[Row]]) -> None:
    """Once the outcome is written, the very same rows register nothing."""
    covered, sender, given_rows = case
    made = merged(covered, sender, given_rows)
    written = {r["uid"]: r for r in made.registered.iter_rows(named=True)}
    again = []
    for n, row in enumerate(given_rows):
        outcome, new = made.outcomes.row(n, named=True)["outcome"], written.get(f"uid-{n}")
        now, held = row.now, row.held
        if new:
            now = (new["version"], new["_op"], sender, {name: new[name] for name in NAMES})
        if outcome in ("registered", "unchanged") and now:
            # It holds what the register says of the fields that it entered.
            held = (now[0], now[0], "withdrawn" if row.op == "d" else "held", {n: now[3][n] for n in covered})
        again.append(Row(op=row.op, incoming=row.incoming, now=now, held=held))
    second = merged(covered, sender, again)
    outcomes = dict(zip(second.outcomes["uid"], second.outcomes["outcome"], strict=True))
    for n, row in enumerate(given_rows):
        first = decided(row, sender)
        if first != "registered":
            assert outcomes[f"uid-{n}"] == first or first == "unchanged"
        if (
            first == "registered"
            and row.op != "d"
            and again[n].incoming == (again[n].held or (0, 0, "", {}))[3]
        ):
            assert outcomes[f"uid-{n}"] == "unchanged"
        if first == "registered" and row.op == "d":
            assert outcomes[f"uid-{n}"] == "echoed", "withdrawn by its own word"


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


@settings(deadline=None, max_examples=100)
@given(cases(), st.data())
def test_what_reads_as_it_was_sent_has_arrived(
    case: tuple[tuple[str, ...], str, list[Row]], data: st.DataObject
) -> None:
    """Of copies on the way those count as held that their receiver shows; the others stay as they were."""
    covered, _, given_rows = case
    incoming, _, held = frames(covered, given_rows)
    sent = []
    for n, row in enumerate(given_rows):
        if row.now and data.draw(st.booleans()):
            has = row.incoming if data.draw(st.booleans()) else {c: row.now[3][c] for c in covered}
            gone = data.draw(st.booleans())
            sent.append({"uid": f"uid-{n}", "version": 9, "own_version": None,
                         "state": "withdrawn" if gone else "held", **has})  # fmt: skip
    frame = pl.DataFrame(sent, schema=held.schema)
    made = {r["uid"]: r for r in arrived(incoming, held, frame, NAMES).iter_rows(named=True)}
    on_the_way = {r["uid"]: r for r in sent}
    before = {r["uid"]: r for r in held.iter_rows(named=True)}
    for n, row in enumerate(given_rows):
        uid = f"uid-{n}"
        copy = on_the_way.get(uid)
        shown = copy is not None and (
            copy["state"] == "withdrawn"
            if row.op == "d"
            else copy["state"] == "held" and all(copy[c] == row.incoming[c] for c in covered)
        )
        assert made.get(uid) == (copy if shown else before.get(uid))
