"""The six ways in which one row in a hundred is broken, and the rows that only the nation refuses.

A unit that is to be broken has no sound report: its reports would fall with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from demo import identities
from demo.platforms.columns import BUSINESS_KEYS, CODES
from demo.words import PLATFORM_SHARES

Mask = npt.NDArray[np.bool_]
Way = Literal["check_digit", "code", "required", "date", "duplicate", "reference"]
WAYS: tuple[Way, ...] = ("check_digit", "code", "required", "date", "duplicate", "reference")
UNKNOWN_CODE = "88"  # in no table
NO_DAY = {"shengzhou": "2026-02-30", "deqing": "2026/02/30"}  # platforms that keep days as text
LONG_NAME = 60  # characters of a project's name that the national platform takes
_FIELDS: dict[Way, tuple[tuple[str, str], ...]] = {
    "check_digit": (("inspection_report", "inst_uscc"), ("key_unit", "uscc"), ("inspection_personnel", "id_no")),
    "code": (("key_unit", "unit_category"), ("inspection_report", "conclusion"), ("inspection_personnel", "post_role")),
    "required": (("inspection_personnel", "person_name"), ("inspection_report", "inspected_name"), ("key_unit", "op_address")),
    "date": (("inspection_report", "inspect_date"), ("inspection_personnel", "onboard_date")),
    "duplicate": (("inspection_report", "report_no"), ("key_unit", "unit_code"), ("inspection_personnel", "person_code")),
    "reference": (("inspection_report", "unit_code"),),
}  # fmt: skip
_RULES = {"check_digit": "check_digit", "required": "required", "date": "date",
          "duplicate": "duplicate_key", "reference": "reference"}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Label:
    """A broken row, and what must be said of it."""

    platform: str
    contract: str
    foreign_key: str
    business_key: str
    way: Way
    rule: str
    field: str


@dataclass(frozen=True, kw_only=True)
class Override:
    """The text that a platform holds in place of a typed value."""

    platform: str
    contract: str
    foreign_key: str
    field: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A record that is sound for us and that the national platform refuses by a rule of its own."""

    platform: str  # that entered it
    contract: str
    foreign_key: str
    business_key: str
    field: str


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where one row is to be broken; a duplicate takes two rows."""

    way: Way
    platform: str
    contract: str
    field: str

    @property
    def rows(self) -> int:
        return 2 if self.way == "duplicate" else 1


def plan(wrong: int) -> list[Spot]:
    """Spots whose rows add up to ``wrong``: the ways in turn, each over its fields and the platforms."""
    pairs = round(wrong / 12)
    counts: dict[Way, int] = dict.fromkeys(WAYS, (wrong - 2 * pairs) // 5)
    counts["duplicate"] = pairs
    left = wrong - sum(n * (2 if w == "duplicate" else 1) for w, n in counts.items())
    for single in [w for w in WAYS if w != "duplicate"][:left]:
        counts[single] += 1
    spots = []
    for i, way in enumerate(WAYS):
        platforms = list(NO_DAY) if way == "date" else list(PLATFORM_SHARES)
        places = [(p, *f) for f in _FIELDS[way] for p in platforms]
        turn = cycle(places[i % len(places) :] + places[: i % len(places)])
        for _, (platform, contract, field) in zip(range(counts[way]), turn, strict=False):
            spots.append(Spot(way=way, platform=platform, contract=contract, field=field))
    return spots


def set_aside(rng: np.random.Generator, units: pl.DataFrame, spots: Sequence[Spot], *, avoid: Mask) -> Mask:
    """The units that the spots will break: as many of each platform as they need."""
    chosen: Mask = np.zeros(len(units), dtype=np.bool_)
    need = Counter[str]()
    for spot in spots:
        if spot.contract == "key_unit":
            need[spot.platform] += spot.rows
    owner = units["platform"].to_numpy()
    for platform, count in need.items():
        free = np.flatnonzero((owner == platform) & ~avoid)
        chosen[rng.choice(free, count, replace=False)] = True
    return chosen


def spoil(rng: np.random.Generator, frames: Mapping[str, pl.DataFrame], spots: Sequence[Spot], *,
          units: Mask, avoid: Mapping[str, Mask],
          ) -> tuple[dict[str, pl.DataFrame], tuple[Label, ...], tuple[Override, ...]]:  # fmt: skip
    """The frames with the spots' rows broken, a label for each, and the texts that have no type.

    ``units``: the rows of key_unit that were set aside for it; ``avoid``: rows to leave alone.
    """
    pools: dict[tuple[str, str], list[int]] = {}
    for contract, frame in frames.items():
        owner = frame["platform"].to_numpy()
        free = units if contract == "key_unit" else ~avoid.get(contract, np.zeros(len(frame), dtype=np.bool_))
        for platform in PLATFORM_SHARES:
            rows = np.flatnonzero((owner == platform) & free)
            pools[platform, contract] = [int(r) for r in rng.permutation(rows)]
    edits: dict[tuple[str, str], dict[int, str | None]] = {}
    hit: list[tuple[Spot, int]] = []
    for spot in spots:
        pool, frame = pools[spot.platform, spot.contract], frames[spot.contract]
        column = edits.setdefault((spot.contract, spot.field), {})
        chosen = [pool.pop() for _ in range(spot.rows)]
        hit += [(spot, row) for row in chosen]
        value = frame[spot.field][chosen[0]]
        column[chosen[-1]] = _spoiled(rng, spot, value)
    made = dict(frames)
    for (contract, field), values in edits.items():
        made[contract] = _with(made[contract], field, values)
    labels, overrides = [], []
    for spot, row in hit:
        record = made[spot.contract].row(row, named=True)
        key = record["foreign_key"]
        labels.append(Label(
            platform=spot.platform, contract=spot.contract, foreign_key=key, way=spot.way,
            business_key=record[BUSINESS_KEYS[spot.contract]], rule=rule_of(spot), field=spot.field,
        ))  # fmt: skip
        if spot.way == "date":
            overrides.append(Override(platform=spot.platform, contract=spot.contract, foreign_key=key,
                                      field=spot.field, text=NO_DAY[spot.platform]))  # fmt: skip
    return made, tuple(labels), tuple(overrides)


def rule_of(spot: Spot) -> str:
    """The rule that must find it: an unknown code is unmapped where the platform's codes are mapped."""
    if spot.way == "code":
        return "code_unmapped" if spot.field in CODES[spot.platform] else "code_table"
    return _RULES[spot.way]


def _spoiled(rng: np.random.Generator, spot: Spot, value: str) -> str | None:
    if spot.way == "check_digit":
        return identities.other_check(value)
    if spot.way == "code":
        return UNKNOWN_CODE
    if spot.way == "duplicate":
        return value
    if spot.way == "reference":
        site = np.array(["0001"])
        return str(identities.supervision_code("E", identities.tokens(rng, 1), site)[0])
    return None  # required, and the typed side of a day that does not exist


def _with(frame: pl.DataFrame, field: str, values: Mapping[int, str | None]) -> pl.DataFrame:
    rows = pl.Series(list(values))
    new = pl.Series(list(values.values()), dtype=frame.schema[field])
    return frame.with_columns(frame[field].scatter(rows, new))


def without_door_number(
    rng: np.random.Generator, units: pl.DataFrame, count: int
) -> tuple[pl.DataFrame, Mask]:
    """``count`` units whose address of operation has no house number: the national platform wants one."""
    mask = _some(rng, units, count)
    cut = pl.col("op_address").str.replace(r"\d+号$", "")
    picked = pl.lit(pl.Series(mask))
    return units.with_columns(pl.when(picked).then(cut).otherwise("op_address").alias("op_address")), mask


def with_long_name(rng: np.random.Generator, reports: pl.DataFrame, count: int) -> tuple[pl.DataFrame, Mask]:
    """``count`` reports whose project's name is longer than the national platform takes."""
    mask = _some(rng, reports, count)
    long = pl.format("{}(含主体建筑、附属用房、储存区、装卸区、配电房、消防泵房、门卫及全部室外管线)"
                     "雷电防护装置年度定期检测及复测项目", pl.col("project_name"))  # fmt: skip
    picked = pl.lit(pl.Series(mask))
    return reports.with_columns(
        pl.when(picked).then(long).otherwise("project_name").alias("project_name")
    ), mask


def _some(rng: np.random.Generator, frame: pl.DataFrame, count: int) -> Mask:
    mask: Mask = np.zeros(len(frame), dtype=np.bool_)
    mask[rng.choice(len(frame), count, replace=False)] = True
    return mask


def refusals(frames: Mapping[str, pl.DataFrame], masks: Mapping[str, Mask]) -> tuple[Refusal, ...]:
    """The rows of the masks by name."""
    fields = {"key_unit": "op_address", "inspection_report": "project_name"}
    return tuple(
        Refusal(platform=platform, contract=contract, foreign_key=key, business_key=business, field=fields[contract])
        for contract, mask in masks.items()
        for platform, key, business in frames[contract].filter(pl.Series(mask))
        .select("platform", "foreign_key", BUSINESS_KEYS[contract]).iter_rows()
    )  # fmt: skip
