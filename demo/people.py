"""Made-up inspection institutions and their 检测人员."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from demo import identities
from demo.units import (
    VINTAGE,
    bureau_uscc,
    looked_up,
    names,
    own_keys,
    places,
)  # fmt: skip
from demo.words import BUREAUX, INSTITUTIONS, MAJORS

PEOPLE_EACH = 14  # of one institution, about


@dataclass(frozen=True, kw_only=True)
class Institution:
    """An inspection institution, and those of its people who sign reports."""

    platform: str
    uscc: str
    name: str
    cert_no: str
    testers: tuple[str, ...]
    reviewer: str
    signer: str


def make(rng: np.random.Generator, platforms: dict[str, int]) -> tuple[pl.DataFrame, list[Institution]]:
    """(personnel, all of them sound; the institutions that employ them)."""
    owner, division = places(rng, platforms)
    n = len(owner)
    place = np.concatenate([np.arange(c) for c in platforms.values()])  # number within its platform
    houses = {p: max(1, c // PEOPLE_EACH) for p, c in platforms.items()}
    house = place % np.repeat(list(houses.values()), list(platforms.values()))
    rank = place // np.repeat(
        list(houses.values()), list(platforms.values())
    )  # number within its institution
    person = names(rng, n)
    institutions: list[Institution] = []
    inst = np.empty(n, dtype="U18")
    serial = 0
    for platform, count in houses.items():
        for i in range(count):
            mine = np.flatnonzero((owner == platform) & (house == i))
            first = division[mine[0]]
            serial += 1
            uscc = str(identities.uscc(np.array([f"91{first}"]), np.array([60_000_000 + serial * 1_009]))[0])
            inst[mine] = uscc
            title = INSTITUTIONS[i % len(INSTITUTIONS)] + ("" if i < len(INSTITUTIONS) else "科技")
            who = [str(person[m]) for m in mine]
            institutions.append(Institution(
                platform=platform, uscc=uscc, cert_no=f"1112{2020 + serial % 5}{serial:04d}",
                name=f"{BUREAUX[platform][0][:2]}{title}防雷检测有限公司",
                signer=who[0], reviewer=who[1 % len(who)],
                testers=tuple(dict.fromkeys((who[2 % len(who)], who[3 % len(who)]))),
            ))  # fmt: skip
    births = np.datetime64("1966-01-01") + rng.integers(0, 12_000, n).astype("timedelta64[D]")
    born = np.char.replace(births.astype(str), "-", "")
    onboard = np.datetime64("2014-01-01") + rng.integers(0, 2_500, n).astype("timedelta64[D]")
    left = (rank > 5) & (rng.random(n) < 0.08)
    leave = np.where(left, (np.datetime64("2022-01-01") + rng.integers(0, 1_500, n).astype("timedelta64[D]")
                            ).astype(str), "")  # fmt: skip
    ability = np.datetime64("2026-09-01") + rng.integers(0, 1_000, n).astype("timedelta64[D]")
    post = np.select([rank == 0, rank == 1, rank == 4, rank == 5], ["3", "2", "4", "5"], "1")
    certificate = np.char.add("ZJFLJC", np.char.zfill((np.arange(n) + 20_001).astype(str), 7))
    frame = pl.DataFrame({
        "platform": owner, "foreign_key": own_keys(owner, "inspection_personnel"),
        "person_code": identities.supervision_code("P", identities.tokens(rng, n), np.full(n, "0000")),
        "division_code": division,
        "division_vintage": np.full(n, VINTAGE, dtype=np.int64),
        "src_org_uscc": looked_up(owner, {p: bureau_uscc(p) for p in BUREAUX}),
        "src_org_name": looked_up(owner, {p: b[0] for p, b in BUREAUX.items()}),
        "person_name": person,
        "id_type": np.full(n, "111"),
        "id_no": identities.id_no(division, born, rng.integers(0, 1000, n)),
        "inst_uscc": inst,
        "ability_cert_no": certificate,
        "ability_valid_to": ability.astype(str),
        "title_level": rng.choice(np.array(["1", "2", "3", "9"]), n, p=[0.12, 0.34, 0.44, 0.10]),
        "title_major": rng.choice(np.array(MAJORS), n),
        "post_role": post,
        "onboard_date": onboard.astype(str),
        "leave_date": leave,
        "person_status": np.where(left, "2", "1"),
    })  # fmt: skip
    days = pl.col("ability_valid_to", "onboard_date", "leave_date")
    return frame.with_columns(days.str.to_date("%Y-%m-%d", strict=False)), institutions
