"""Merge by example: the situations that its rules were written for."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest

from exchange.merge import Authority, merge, turning

NAMES = ("name", "phone")
ORIGINS = {"nation": 0, "city": 1, "other city": 1, "county": 2}
AUTHORITY = {n: dict(ORIGINS) for n in NAMES}
U = "00000000-0000-0000-0000-000000000001"


def one(
    incoming: dict[str, Any] | None,
    now: tuple[int, str, str, dict[str, Any]] | None,
    held: tuple[int, int | None, str, dict[str, Any]] | None,
    *more: tuple[int, int | None, str, dict[str, Any]],
    sender: str,
    writers: dict[str, str] | None = None,
    fresh: bool = False,
    authority: dict[str, dict[str, int]] | None = None,
    ties: bool = True,
    doubted: list[str] | None = None,
) -> tuple[str, dict[str, Any] | None]:
    """(outcome, what is registered) of one row; ``incoming`` None is a delete. ``more``: further bases."""
    covered = list(incoming) if incoming is not None else list(NAMES)
    text = dict.fromkeys(covered, pl.String)
    row = {
        "_row": 0,
        "_op": "u" if incoming is not None else "d",
        "uid": U,
        "fresh": fresh,
        **(incoming or dict.fromkeys(covered)),
    }
    current = [] if now is None else [{"uid": U, "version": now[0], "op": now[1], "origin": now[2], **now[3]}]
    base = [
        {
            "uid": U,
            "version": b[0],
            "own_version": b[1],
            "state": b[2],
            "doubted": doubted,
            **{n: b[3][n] for n in covered},
        }
        for b in (held, *more)
        if b is not None
    ]
    by = [] if writers is None else [{"uid": U, **{n: writers[n] for n in covered}}]
    made = merge(
        pl.DataFrame([row], schema={"_row": pl.Int64, "_op": pl.String, "uid": pl.String, "fresh": pl.Boolean, **text}),
        pl.DataFrame(current, schema={"uid": pl.String, "version": pl.Int32, "op": pl.String, "origin": pl.String,
                                      **dict.fromkeys(NAMES, pl.String)}),
        pl.DataFrame(base, schema={"uid": pl.String, "version": pl.Int32, "own_version": pl.Int32,
                                   "state": pl.String, "doubted": pl.List(pl.String), **text}),
        pl.DataFrame(by, schema={"uid": pl.String, **text}),
        authority=Authority(sender=sender, ranks=authority or AUTHORITY, ties=ties),
        names=NAMES,
        companions={},
    )  # fmt: skip
    registered = made.registered.to_dicts()
    return made.outcomes["outcome"].item(), registered[0] if registered else None


OLD, NEW, OTHER = ({"name": n, "phone": "1"} for n in ("old", "new", "other"))


def test_a_record_that_nobody_knew_is_registered_whole() -> None:
    outcome, made = one(OLD, None, None, sender="county")
    assert outcome == "registered"
    assert made is not None
    assert (made["version"], made["name"], made["phone"]) == (1, "old", "1")


def test_what_we_sent_comes_back_as_an_echo() -> None:
    assert one(OLD, (1, "u", "county", OLD), (1, None, "held", OLD), sender="city") == ("echoed", None)


def test_what_it_entered_itself_and_gives_again_is_unchanged() -> None:
    assert one(OLD, (1, "u", "county", OLD), (1, 1, "held", OLD), sender="county") == ("unchanged", None)


def test_a_masked_field_that_does_not_come_back_stays_as_it_is() -> None:
    """The nation's layout back lacks the phone: its correction of the name leaves the phone alone."""
    outcome, made = one(
        {"name": "new"}, (1, "u", "county", OLD), (1, None, "held", {"name": "old"}), sender="nation"
    )
    assert outcome == "registered"
    assert made is not None
    assert (made["version"], made["name"], made["phone"]) == (2, "new", "1")


def test_only_the_field_that_the_sender_changed_is_carried_over() -> None:
    """The city held version 1 and changed the phone; the name has moved on since, and the city decides."""
    now = (2, "u", "county", {"name": "newer", "phone": "1"})
    outcome, made = one({"name": "old", "phone": "2"}, now, (1, None, "held", OLD), sender="city")
    assert outcome == "registered"
    assert made is not None
    assert (made["version"], made["name"], made["phone"]) == (3, "newer", "2")


@pytest.mark.parametrize(
    "sender, origin, outcome",
    [
        ("nation", "county", "registered"),
        ("city", "county", "registered"),
        ("county", "city", "superseded"),
        ("city", "nation", "superseded"),
        ("city", "other city", "conflicted"),
        ("city", "city", "registered"),
        ("county", "a platform that is gone", "registered"),
    ],
)
def test_where_both_changed_the_higher_authority_decides(sender: str, origin: str, outcome: str) -> None:
    got, made = one(NEW, (2, "u", origin, OTHER), (1, None, "held", OLD), sender=sender)
    assert got == outcome
    assert (made is not None) == (outcome == "registered")


def test_what_lost_once_loses_again_until_the_sender_has_our_answer() -> None:
    now, held = (2, "u", "nation", OTHER), (2, None, "stale", OTHER)
    assert one(NEW, now, held, sender="city", doubted=["name", "phone"]) == ("superseded", None)
    assert one(NEW, now, held, sender="city")[0] == "registered"


def test_a_field_in_contest_leaves_the_others_alone() -> None:
    now, held = (2, "u", "other city", OTHER), (2, None, "conflicted", OTHER)
    outcome, made = one({"name": "new", "phone": "2"}, now, held, sender="city", doubted=["name"])
    assert outcome == "registered"
    assert made is not None
    assert (made["name"], made["phone"]) == ("other", "2")


def test_both_made_the_same_change() -> None:
    assert one(NEW, (2, "u", "nation", NEW), (1, 1, "held", OLD), sender="county") == ("unchanged", None)


def test_an_old_value_given_again_says_nothing_about_the_new_one() -> None:
    """Not an edit: whoever gives version 1 again does not undo version 2."""
    assert one(OLD, (2, "u", "nation", NEW), (1, 1, "held", OLD), sender="city") == ("unchanged", None)


def test_a_delete_in_step_removes_and_keeps_the_last_values() -> None:
    outcome, made = one(None, (3, "u", "city", OLD), (3, None, "held", OLD), sender="county")
    assert outcome == "registered"
    assert made is not None
    assert (made["version"], made["_op"], made["name"]) == (4, "d", "old")


@pytest.mark.parametrize(
    "sender, origin, outcome",
    [
        ("county", "nation", "superseded"),
        ("nation", "county", "registered"),
        ("city", "other city", "conflicted"),
    ],
)
def test_a_delete_of_what_moved_on_is_decided_by_authority(sender: str, origin: str, outcome: str) -> None:
    assert one(None, (2, "u", origin, NEW), (1, 1, "held", OLD), sender=sender)[0] == outcome


def test_a_delete_of_what_is_deleted_changes_nothing() -> None:
    assert one(None, (2, "d", "nation", OLD), (1, 1, "held", OLD), sender="county") == ("unchanged", None)


def test_a_withdrawal_that_comes_back_is_an_echo() -> None:
    """It was told to delete the record, for instance because its division was corrected."""
    assert one(None, (2, "u", "nation", NEW), (2, 1, "withdrawn", OLD), sender="county") == ("echoed", None)


@pytest.mark.parametrize("sender", list(ORIGINS))
def test_nothing_that_is_deleted_rises_again(sender: str) -> None:
    for held in (None, (1, 1, "held", OLD), (2, None, "withdrawn", OLD)):
        assert one(NEW, (2, "d", "county", OLD), held, sender=sender) == ("superseded", None)


def test_who_enters_what_another_entered_first_with_the_same_values_holds_it() -> None:
    assert one(OLD, (1, "u", "county", OLD), None, sender="city") == ("unchanged", None)
    assert one(NEW, (1, "u", "county", OLD), None, sender="city")[0] == "registered"
    assert one(NEW, (1, "u", "city", OLD), None, sender="county") == ("superseded", None)


def test_a_null_is_a_value() -> None:
    empty = {"name": None, "phone": "1"}
    assert one(empty, (1, "u", "county", empty), (1, 1, "held", empty), sender="county")[0] == "unchanged"
    outcome, made = one(empty, (1, "u", "county", OLD), (1, 1, "held", OLD), sender="county")
    assert outcome == "registered"
    assert made is not None
    assert made["name"] is None


V1 = {"name": "old", "phone": "1"}
V2 = {"name": "old", "phone": "2"}


def test_a_change_made_before_a_delivery_arrived_does_not_undo_it() -> None:
    """The county changed the name while the city's phone was on its way: the row shows the old phone."""
    outcome, made = one(
        {"name": "new", "phone": "1"}, (2, "u", "city", V2), (2, None, "held", V2), (1, 1, "held", V1),
        sender="county",
    )  # fmt: skip
    assert outcome == "registered"
    assert made is not None
    assert (made["version"], made["name"], made["phone"]) == (3, "new", "2")


def test_a_row_from_before_a_delivery_is_an_echo_of_what_was_held_then() -> None:
    assert one(V1, (2, "u", "city", V2), (2, None, "held", V2), (1, 1, "held", V1), sender="county") == ("unchanged", None)  # fmt: skip
    assert one(V1, (2, "u", "county", V2), (2, None, "held", V2), (1, None, "held", V1), sender="city") == ("echoed", None)  # fmt: skip


def test_a_field_that_two_changed_at_once_is_contested_and_no_other_is() -> None:
    """The county changed both while the city changed the phone: its name counts, its phone does not."""
    outcome, made = one(
        {"name": "new", "phone": "3"}, (2, "u", "city", V2), (1, 1, "held", V1), sender="county"
    )
    assert outcome == "registered"
    assert made is not None
    assert (made["name"], made["phone"]) == ("new", "2")


def test_authority_is_asked_field_by_field_of_who_wrote_the_field() -> None:
    """The version's origin wrote the name; the phone is from another, and the county decides over phones."""
    authority = {"name": ORIGINS, "phone": {"county": 0, "city": 1, "other city": 1, "nation": 2}}
    now = (3, "u", "nation", {"name": "nation", "phone": "2"})
    writers = {"name": "nation", "phone": "city"}
    outcome, made = one(
        {"name": "new", "phone": "3"}, now, (1, 1, "held", V1), sender="county", writers=writers, authority=authority
    )  # fmt: skip
    assert outcome == "registered"
    assert made is not None
    assert (made["name"], made["phone"]) == ("nation", "3")


def test_where_ties_keep_what_stands_nobody_is_asked() -> None:
    now = (2, "u", "other city", V2)
    row = {"name": "old", "phone": "3"}
    assert one(row, now, (1, 1, "held", V1), sender="city")[0] == "conflicted"
    assert one(row, now, (1, 1, "held", V1), sender="city", ties=False)[0] == "superseded"


def test_who_enters_once_more_what_it_was_sent_is_contested_even_in_step() -> None:
    row = {"name": "old", "phone": "3"}
    now = (2, "u", "city", V2)
    assert one(row, now, (2, None, "held", V2), sender="county")[0] == "registered"
    assert one(row, now, (2, None, "held", V2), sender="county", fresh=True) == ("superseded", None)


def test_what_lost_is_no_base_for_the_next_row() -> None:
    """Version 0: what the platform shows is no version of the register."""
    row = {"name": "old", "phone": "3"}
    assert one(row, (2, "u", "city", V2), (0, None, "stale", V2), sender="county") == ("superseded", None)


def turned(*values: object) -> list[str]:
    """The fields that are called a loop, where city and nation gave these values in turn."""
    origins = ["city", "nation"] * len(values)
    rows = [
        {"uid": "1", "version": n + 1, "origin": origins[n], "name": v} for n, v in enumerate(values[:-1])
    ]
    new = pl.DataFrame({"uid": ["1"], "name": [values[-1]]})
    sender = origins[len(values) - 1]
    return [t.field for t in turning(pl.DataFrame(rows), new, ["name"], sender, turns=5)]


@pytest.mark.parametrize(
    "values",
    [
        ("a", "b", "a", "b"),  # back and forth
        ("a", "a ", "a  ", "a   ", "a    ", "a     "),  # a space more each time
        ("甲", "甲(1)", "甲(1)1", "甲(1)12", "甲(1)123", "甲(1)1234"),
        ("Ａ１", "a1", "A 1", "a-1", "A_1", "A.1"),  # one in many dresses
        (120.1, 120.11, 120.12, 120.13, 120.14, 120.15),  # converted there and back
        tuple(date(2026, 1, n) for n in range(1, 7)),  # a day on with each time zone
    ],
)
def test_who_writes_what_the_other_has_a_little_otherwise_is_in_a_loop(values: tuple[object, ...]) -> None:
    assert turned(*values) == ["name"]
    assert turned(*values[:3]) == []


@pytest.mark.parametrize(
    "values",
    [
        tuple("abcdefgh"),
        ("甲站", "乙站", "丙站", "丁站", "戊站", "己站", "庚站"),
        (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0),
        (None, "a", None, "b", None, "c", None),
        tuple(date(2026, n, 1) for n in range(1, 8)),
    ],
)
def test_who_edits_in_turn_is_in_none(values: tuple[object, ...]) -> None:
    assert turned(*values) == []
