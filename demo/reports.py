"""Made-up 检测报告: each of a real unit, by an institution of its place, one cycle behind another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from demo import identities
from demo.people import Institution
from demo.units import VINTAGE, instants, looked_up, own_keys
from demo.words import POINT_PLACES, STANDARDS

Counts = npt.NDArray[np.int64]
MOST_POINTS = 7
LEAST_POINTS = 3
LIMIT_OHM = 10.0  # allowed resistance of the made-up points


def make(rng: np.random.Generator, platforms: dict[str, int], units: pl.DataFrame,
         institutions: Sequence[Institution], as_of: date) -> pl.DataFrame:  # fmt: skip
    """Sound reports: report i of a platform is of its unit i modulo the units, the later ones older."""
    parts = [
        _of_platform(rng, platform, count, units.filter(pl.col("platform") == platform),
                     [i for i in institutions if i.platform == platform], as_of)
        for platform, count in platforms.items()
    ]  # fmt: skip
    return pl.concat(parts).with_columns(
        foreign_key=pl.lit(pl.Series(own_keys(_owners(platforms), "inspection_report")))
    )


def _owners(platforms: dict[str, int]) -> identities.Codes:
    return np.repeat(np.array(list(platforms)), list(platforms.values()))


def _of_platform(rng: np.random.Generator, platform: str, n: int, units: pl.DataFrame,
                 institutions: Sequence[Institution], as_of: date) -> pl.DataFrame:  # fmt: skip
    at = np.arange(n) % len(units)
    age = np.arange(n) // len(units)  # 0 = the unit's latest report
    unit = units[at]
    cycle = unit["inspect_cycle_months"].to_numpy()
    months = np.datetime64(as_of, "M") - (1 + rng.integers(0, 5, len(units)))[at] - age * cycle
    day = months.astype("datetime64[D]") + rng.integers(0, 28, n).astype("timedelta64[D]")
    house = np.array([hash_of(i, len(institutions)) for i in range(len(units))])[at]
    division = unit["division_code"].to_numpy().astype(str)
    year = day.astype("datetime64[Y]").astype(str)
    number = np.char.zfill((np.arange(n) + 1).astype(str), 6)
    letters = {"shengzhou": "SZ", "deqing": "DQ", "shaoxing": "SX"}[platform]
    short = np.char.add(letters, number)
    report_no = np.char.add(np.char.add("ZJFL-", division), np.char.add(np.char.add("-", year), "-"))
    report_no = np.char.add(report_no, short)
    verdict = rng.choice(np.array(["1", "2", "3"]), n, p=[0.90, 0.06, 0.04])
    n_points = rng.integers(LEAST_POINTS, MOST_POINTS + 1, n)
    fails = np.where(verdict == "2", rng.integers(1, LEAST_POINTS + 1, n), 0)
    issue = day + rng.integers(2, 8, n).astype("timedelta64[D]")
    uploaded = issue + rng.integers(1, 8, n).astype("timedelta64[D]")
    staff = pl.DataFrame([
        {"inst_uscc": i.uscc, "inst_name": i.name, "cert_no": i.cert_no, "tester": "、".join(i.testers),
         "reviewer": i.reviewer, "signer": i.signer} for i in institutions
    ])[house]  # fmt: skip
    frame = unit.select(
        "platform", "foreign_key", "division_code", "src_org_uscc", "src_org_name", "unit_code", "lp_class",
        inspected_name="unit_name", project_address="op_address", contact_name="safety_contact_name",
        contact_phone="safety_contact_phone", cycle="inspect_cycle_months",
    ).hstack(staff).with_columns(
        report_no=pl.lit(pl.Series(report_no)),
        division_vintage=pl.lit(VINTAGE, pl.Int64),
        report_short_no=pl.lit(pl.Series(short)),
        activity_no=pl.lit(pl.Series(np.char.add("JC", np.char.add(np.char.replace(day.astype(str), "-", ""), short)))),
        project_name=pl.format("{}雷电防护装置检测", pl.col("inspected_name")),
        inspect_type=pl.lit(pl.Series(np.where(age == age.max(), "5", "1"))),
        inspect_date=pl.lit(pl.Series(day.astype(str))).str.to_date("%Y-%m-%d"),
        conclusion=pl.lit(pl.Series(verdict)),
        conclusion_text=pl.lit(pl.Series(looked_up(verdict, {
            "1": "所检雷电防护装置符合规范要求。", "2": "部分测点接地电阻超出允许值,应限期整改。",
            "3": "经整改复测,所检雷电防护装置符合规范要求。"}))),
        n_units=pl.lit(pl.Series(rng.integers(1, 6, n))),
        n_points=pl.lit(pl.Series(n_points)),
        n_fail_points=pl.lit(pl.Series(fails)),
        items=_items(unit["lp_class"]),
        points=_points(rng, n_points, fails),
        basis=pl.lit(STANDARDS),
        issue_date=pl.lit(pl.Series(issue.astype(str))).str.to_date("%Y-%m-%d"),
        uploaded_at=instants(uploaded.astype(str), rng),
        file_sm3=pl.lit(pl.Series(identities.hexes(rng, n))),
        file_ref=pl.lit(pl.Series(np.char.add("report/", np.char.add(report_no, ".pdf")))),
        seal_verified=pl.lit(pl.Series(rng.choice(np.array(["1", "4"]), n, p=[0.95, 0.05]))),
    )  # fmt: skip
    due = pl.col("inspect_date").dt.offset_by(pl.format("{}mo", pl.col("cycle"))).dt.offset_by("-1d")
    frame = frame.with_columns(valid_from=pl.col("inspect_date"), valid_to=due, next_inspect_date=due)
    return frame.select("platform", "foreign_key", *FIELDS)


def hash_of(number: int, size: int) -> int:
    """A unit's institution: spread, and always the same one."""
    return number * 7_919 % 10_007 % size


def _items(lp_class: pl.Series) -> pl.Series:
    """The structures inspected, as JSON text."""
    known = {c: f'[{{"no":1,"name":"主体建筑","lp_class":"{c}","page":3}}]' for c in lp_class.unique()}
    return lp_class.replace_strict(known, return_dtype=pl.String)


def _points(rng: np.random.Generator, count: Counts, fails: Counts) -> pl.Series:
    """As many measuring points as counted, the first ``fails`` above the limit, as JSON text."""
    columns = []
    for k in range(MOST_POINTS):
        wrong = k < fails
        ohm = np.where(wrong, LIMIT_OHM + 0.5, 0.3) + np.round(rng.random(len(count)) * 8, 2)
        text = np.char.mod(
            f'{{"place":"{POINT_PLACES[k]}","item":"接地电阻","ohm":%.2f,"limit":{LIMIT_OHM:.0f},"ok":', ohm
        )
        text = np.char.add(text, np.where(wrong, "false}", "true}"))
        columns.append(pl.when(pl.lit(pl.Series(k < count))).then(pl.lit(pl.Series(text))))
    joined = pl.concat_str(columns, separator=",", ignore_nulls=True)
    return pl.select(pl.concat_str([pl.lit("["), joined, pl.lit("]")])).to_series()


FIELDS = (
    "report_no", "division_code", "division_vintage", "src_org_uscc", "src_org_name", "report_short_no",
    "activity_no", "inst_uscc", "inst_name", "cert_no", "unit_code", "inspected_name", "project_name",
    "project_address", "contact_name", "contact_phone", "inspect_type", "lp_class", "inspect_date",
    "valid_from", "valid_to", "next_inspect_date", "conclusion", "conclusion_text", "n_units", "n_points",
    "n_fail_points", "items", "points", "basis", "tester", "reviewer", "signer", "issue_date", "uploaded_at",
    "file_sm3", "file_ref", "seal_verified",
)  # fmt: skip
