"""Made-up 防雷安全重点单位 of the demonstration."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from demo import identities
from demo.identities import Codes
from demo.words import (
    BRANDS,
    BUREAUX,
    CATEGORIES,
    DIVISIONS,
    GIVEN,
    PLATFORM_DIVISIONS,
    ROADS,
    SURNAMES,
    TOWNS,
)  # fmt: skip

VINTAGE = 2024  # year of the division table that the platforms enter by
BRANCHES = 0.06  # of the units are a further site of the one before


def names(rng: np.random.Generator, count: int) -> Codes:
    """Names of nobody: a surname and two more characters."""
    one, two = np.array(list(SURNAMES)), np.array(list(GIVEN))
    made = np.char.add(rng.choice(one, count), rng.choice(two, count))
    return np.char.add(made, rng.choice(two, count))


def places(rng: np.random.Generator, platforms: dict[str, int]) -> tuple[Codes, Codes]:
    """(platform, division) of every row; a platform's rows stand together."""
    owner = np.repeat(np.array(list(platforms)), list(platforms.values()))
    division = np.concatenate([rng.choice(np.array(PLATFORM_DIVISIONS[p]), n) for p, n in platforms.items()])
    return owner, division


def foreign_keys(platform: str, contract: str, serials: npt.NDArray[np.int64]) -> Codes:
    """The platform's own keys: the county's serial behind its code, a prefixed serial, a plain number."""
    offset = {"key_unit": 100_000, "inspection_personnel": 500_000, "inspection_report": 1_000_000}[contract]
    numbers = (serials + offset + 1).astype(str)
    if platform == "shengzhou":
        return np.char.add("330683-", numbers)
    if platform == "deqing":
        return np.char.add("DQ", np.char.zfill(numbers, 8))
    return numbers


def own_keys(owner: Codes, contract: str) -> Codes:
    found = np.empty(len(owner), dtype="U24")
    for platform in np.unique(owner):
        mine = owner == platform
        found[mine] = foreign_keys(str(platform), contract, np.arange(int(mine.sum()), dtype=np.int64))
    return found


def bureau_uscc(platform: str) -> str:
    _, prefix, number = BUREAUX[platform]
    return str(identities.uscc(np.array([prefix]), np.array([int(number)]))[0])


def looked_up(keys: Codes, table: dict[str, str]) -> Codes:
    """``table[key]`` for each key."""
    known, at = np.unique(keys, return_inverse=True)
    return np.array([table[str(k)] for k in known])[at]


def addresses(rng: np.random.Generator, division: Codes) -> Codes:
    """Town, road and number of the house, in the division."""
    town = np.empty(len(division), dtype="U16")
    for code, choices in TOWNS.items():
        mine = division == code
        town[mine] = rng.choice(np.array(choices), int(mine.sum()))
    place = looked_up(division, {c: d[0] for c, d in DIVISIONS.items()})
    number = np.char.add(rng.integers(1, 999, len(division)).astype(str), "号")
    road = np.char.add(rng.choice(np.array(ROADS), len(division)), number)
    return np.char.add(np.char.add(place, town), road)


def _coordinates(rng: np.random.Generator, division: Codes) -> tuple[Codes, Codes]:
    found = []
    for low, high in ((2, 3), (4, 5)):
        lows = looked_up(division, {c: str(d[low]) for c, d in DIVISIONS.items()}).astype(float)
        highs = looked_up(division, {c: str(d[high]) for c, d in DIVISIONS.items()}).astype(float)
        found.append(np.char.mod("%.6f", lows + (highs - lows) * rng.random(len(division))))
    return found[0], found[1]


def instants(days: Codes, rng: np.random.Generator) -> pl.Expr:
    """Office hours of those days (yyyy-MM-dd) in Asia/Shanghai, as UTC."""
    seconds = rng.integers(9 * 3600, 17 * 3600, len(days))
    return (pl.lit(pl.Series(days)).str.to_datetime("%Y-%m-%d", time_unit="us")
            + pl.duration(seconds=pl.lit(pl.Series(seconds)), time_unit="us")
            ).dt.replace_time_zone("Asia/Shanghai").dt.convert_time_zone("UTC")  # fmt: skip


def make(rng: np.random.Generator, platforms: dict[str, int], as_of: date) -> pl.DataFrame:
    """A frame of key units, all of them sound."""
    owner, division = places(rng, platforms)
    n = len(owner)
    codes = np.array(list(CATEGORIES))
    weights = np.array([c[0] for c in CATEGORIES.values()], dtype=float)
    category = rng.choice(codes, n, p=weights / weights.sum())
    endings = np.empty(n, dtype="U16")
    for code, (_, choices, *_rest) in CATEGORIES.items():
        mine = category == code
        endings[mine] = rng.choice(np.array(choices), int(mine.sum()))
    short = looked_up(division, {c: d[0][:-1] for c, d in DIVISIONS.items()})
    brand = np.char.add(rng.choice(np.array(BRANDS), n), rng.choice(np.array(BRANDS), n))
    name = np.char.add(np.char.add(short, brand), endings)
    numbers = (31_415_926 + np.arange(n, dtype=np.int64) * 7_919) % 100_000_000  # distinct: 7919 is prime
    uscc = identities.uscc(np.char.add("91", division), numbers)
    site = np.full(n, "0001")
    branch = (rng.random(n) < BRANCHES) & (np.arange(n) > 0)
    branch &= ~np.roll(branch, 1) & (np.roll(division, 1) == division) & (np.roll(owner, 1) == owner)
    uscc[branch] = np.roll(uscc, 1)[branch]
    site[branch] = "0002"
    name[branch] = np.char.add(np.roll(name, 1)[branch], "(二分站)")
    explosive = looked_up(category, {c: str(int(v[3])) for c, v in CATEGORIES.items()}) == "1"
    former = np.where(rng.random(n) < 0.04, np.char.add(np.char.add('["', np.char.add(short, "原")),
                                                       np.char.add(endings, '"]')), "")  # fmt: skip
    op_address = addresses(rng, division)
    elsewhere = rng.random(n) < 0.3
    reg_address = np.where(elsewhere, addresses(rng, division), op_address)
    lon, lat = _coordinates(rng, division)
    risk = rng.choice(np.array(["1", "2", "3", "4"]), n, p=[0.04, 0.16, 0.45, 0.35])
    listed = rng.integers(2022, as_of.year + 1, n)
    short_one = looked_up(division, {c: d[1] for c, d in DIVISIONS.items()})
    doc = np.char.add(np.char.add(short_one, "气防办〔"), np.char.add(listed.astype(str), "〕2号"))
    contact = names(rng, n)
    legal = np.where(rng.random(n) < 0.5, contact, names(rng, n))
    coded = np.datetime64(as_of) - rng.integers(30, 500, n).astype("timedelta64[D]")
    frame = pl.DataFrame({
        "platform": owner, "foreign_key": own_keys(owner, "key_unit"),
        "unit_code": identities.supervision_code("E", uscc, site),
        "division_code": division,
        "division_vintage": np.full(n, VINTAGE, dtype=np.int64),
        "src_org_uscc": looked_up(owner, {p: bureau_uscc(p) for p in BUREAUX}),
        "src_org_name": looked_up(owner, {p: b[0] for p, b in BUREAUX.items()}),
        "uscc": uscc,
        "unit_name": name,
        "former_names": former,
        "site_no": site,
        "unit_category": category,
        "industry_code": looked_up(category, {c: v[2] for c, v in CATEGORIES.items()}),
        "reg_address": reg_address,
        "op_address": op_address,
        "lon": lon, "lat": lat,
        "crs": np.full(n, "4490"),
        "coord_origin": rng.choice(np.array(["1", "2", "3"]), n, p=[0.6, 0.3, 0.1]),
        "legal_rep_name": legal,
        "safety_contact_name": contact,
        "safety_contact_phone": identities.phones(rng, n),
        "lp_class": looked_up(category, {c: v[4] for c, v in CATEGORIES.items()}),
        "explosive_env": explosive,
        "inspect_cycle_months": np.where(explosive, 6, 12),
        "risk_level": risk,
        "risk_code_colour": looked_up(risk, {"1": "R", "2": "O", "3": "Y", "4": "B"}),
        "listed_year": listed,
        "list_doc_no": doc,
        "superv_org_code": looked_up(owner, {p: bureau_uscc(p) for p in BUREAUX}),
        "unit_status": rng.choice(np.array(["1", "2"]), n, p=[0.97, 0.03]),
    })  # fmt: skip
    return frame.with_columns(
        pl.when(pl.col("former_names") != "").then("former_names"),
        pl.col("lon", "lat").cast(pl.Decimal(9, 6)),
        instants(coded.astype(str), rng).alias("risk_code_at"),
    )
