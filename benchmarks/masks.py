"""What masking a column costs, in passes of polars' own string slicing over the same values.

``python -m benchmarks.masks``. Both sides take turns, a run each; processor time of this process, which other
work beside it moves less than the wall's. The slice takes what the mask keeps; of dates and numbers it is taken
from their text.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks.measure import forget_peak, peak_mib
from catalog.divisions import Divisions
from catalog.masks import MASKS, Outgoing

AT = datetime(2026, 11, 1, tzinfo=UTC)
SURNAMES = [*"王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗", "欧阳", "诸葛"]
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文"
STREETS = ["鹿山街道", "剡湖街道", "三江街道", "浦口街道", "甘霖镇", "崇仁镇", "长乐镇"]


class Keys:
    """One key for each owner."""

    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        return "0" * 16, f"{purpose}:{owner}".encode().ljust(32, b"\0")

    def by_id(self, key_id: str) -> bytes:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Case:
    """A mask, the values that it is put on, and how many characters of them the slice takes."""

    mask: str
    values: Callable[[random.Random, int], pa.Array]
    kept: int
    options: dict[str, Any] = field(default_factory=dict)


def _names(dice: random.Random, rows: int) -> pa.Array:
    return pa.array(dice.choice(SURNAMES) + "".join(dice.choices(GIVEN, k=dice.choice((1, 2, 2)))) for _ in range(rows))  # fmt: skip


def _mobiles(dice: random.Random, rows: int) -> pa.Array:
    return pa.array([f"1{dice.randrange(10**10):010d}" for _ in range(rows)])


def _phones(dice: random.Random, rows: int) -> pa.Array:
    made = [f"1{dice.randrange(10**10):010d}", f"0575-{dice.randrange(10**8):08d}", None]
    return pa.array([f"1{dice.randrange(10**10):010d}" if dice.random() < 0.7 else dice.choice(made) for _ in range(rows)])  # fmt: skip


def _numbers(dice: random.Random, rows: int) -> pa.Array:
    return pa.array([f"33068319{dice.randrange(10**10):010d}" for _ in range(rows)])


def _places() -> list[tuple[str, str, str]]:
    """Province, city, county: those of one province today."""
    table = Divisions.load().table.filter(pl.col("code").str.starts_with("33"), pl.col("valid_to").is_null())
    titles = dict(table.select("code", "title").iter_rows())
    return [(titles["330000"], titles[c[:4] + "00"], t) for c, t in titles.items() if c[4:] != "00"]


def _addresses(dice: random.Random, rows: int) -> pa.Array:
    """Of one province: its counties of today, each with its city."""
    paths = ["".join(p) for p in _places()]
    return pa.array([f"{dice.choice(paths)}{dice.choice(STREETS)}{dice.randrange(10_000)}号" for _ in range(rows)])  # fmt: skip


def _mixed_addresses(dice: random.Random, rows: int) -> pa.Array:
    """As people write them: from the province (its name long or short), the city or the county on, some from none."""
    paths = ["".join(part) for p, c, t in _places() for part in 6 * [(p, c, t)] + [
        (p[:-1], c[:-1], t), (c, t), (t,), ()]]  # fmt: skip
    made = (f"{dice.choice(paths)}{dice.choice(STREETS)}{dice.randrange(10_000)}号" for _ in range(rows))
    return pa.array([None if dice.random() < 0.02 else text for text in made])


def _divisions(dice: random.Random, rows: int) -> pa.Array:
    table = Divisions.load().table.filter(pl.col("level") == "county", pl.col("valid_to").is_null())
    return pa.array(dice.choices(table["code"].to_list(), k=rows))


def _coordinates(dice: random.Random, rows: int) -> pa.Array:
    words = np.zeros((rows, 2), dtype=np.int64)
    words[:, 0] = np.random.default_rng(1).integers(118_000_000, 123_000_000, rows)
    return pa.Array.from_buffers(pa.decimal128(9, 6), rows, [None, pa.py_buffer(words)])


def _integers(dice: random.Random, rows: int) -> pa.Array:
    return pa.array(np.random.default_rng(1).integers(0, 100_000, rows))


def _dates(dice: random.Random, rows: int) -> pa.Array:
    return pa.array(np.random.default_rng(1).integers(0, 20_000, rows).astype(np.int32)).cast(pa.date32())


def _instants(dice: random.Random, rows: int) -> pa.Array:
    return pa.array(np.random.default_rng(1).integers(0, 17 * 10**14, rows)).cast(pa.timestamp("us", "UTC"))


CASES = (
    Case(mask="keep_first", values=_names, kept=1), Case(mask="keep_surname", values=_names, kept=1),
    Case(mask="phone", values=_mobiles, kept=3), Case(mask="phone", values=_phones, kept=3),
    Case(mask="id_no", values=_numbers, kept=3), Case(mask="address", values=_addresses, kept=9),
    Case(mask="address", values=_mixed_addresses, kept=9),
    Case(mask="hide", values=_names, kept=1), Case(mask="truncate", values=_addresses, kept=6, options={"keep": 6}),
    Case(mask="coordinate", values=_coordinates, kept=7), Case(mask="number", values=_integers, kept=3),
    Case(mask="date", values=_dates, kept=4), Case(mask="date", values=_instants, kept=4),
    Case(mask="division", values=_divisions, kept=4, options={"to": "city"}),
    Case(mask="pseudonym", values=_names, kept=1), Case(mask="pseudonym", values=_mobiles, kept=3),
)  # fmt: skip


def _spent(work: Callable[[], Any]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measure(case: Case, rows: int, runs: int) -> dict[str, Any]:
    """Seconds of mask and slice, least and median, and the memory that the mask took above what was held."""
    array = case.values(random.Random(1), rows)
    mask, outgoing = MASKS[case.mask], Outgoing(recipient="r", contract="c", field="f", at=AT, keys=Keys())
    frame = pl.DataFrame({"v": pl.Series(pl.from_arrow(array)).cast(pl.String)}).rechunk()
    ours: list[float] = []
    theirs: list[float] = []
    forget_peak()
    before = peak_mib()
    mask.apply(array, case.options, outgoing)
    held = peak_mib() - before
    for _ in range(runs):
        theirs.append(_spent(lambda: frame.select(pl.col("v").str.slice(0, case.kept))))
        ours.append(_spent(lambda: mask.apply(array, case.options, outgoing)))
    return {
        "mask": case.mask, "values": case.values.__name__.strip("_"), "rows": rows, "runs": runs,
        "least": round(min(ours), 4), "slice": round(min(theirs), 4), "ratio": round(min(ours) / min(theirs), 2),
        "ratio_of_medians": round(statistics.median(ours) / statistics.median(theirs), 2), "mib": round(held),
    }  # fmt: skip


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=9)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    told = [measure(case, given.rows, given.runs) for case in CASES]
    if given.json:
        print(json.dumps(told, indent=1))
        return 0
    print(
        "| mask | values | mask ms | slice ms | ratio, least | ratio, medians | MiB |\n|---|---|---|---|---|---|---|"
    )
    for t in told:
        print(f"| `{t['mask']}` | {t['values']} | {t['least'] * 1e3:.0f} | {t['slice'] * 1e3:.0f} "
              f"| {t['ratio']:.1f} | {t['ratio_of_medians']:.1f} | {t['mib']} |")  # fmt: skip
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
