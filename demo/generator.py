"""Seeded records of three contracts over the platforms that enter them, one in a hundred of them broken."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from demo import broken, people, reports, units
from demo.broken import Label, Override, Refusal
from demo.platforms.columns import BUSINESS_KEYS, CONTRACTS
from demo.words import PLATFORM_SHARES

__all__ = [
    "AS_OF",
    "BUSINESS_KEYS",
    "CONTRACTS",
    "OWNERS",
    "Label",
    "Override",
    "Personal",
    "Refusal",
    "World",
    "generate",
]

OWNERS = tuple(PLATFORM_SHARES)
AS_OF = date(2026, 6, 30)  # the day that the histories reach to
_SHARES = {"key_unit": 0.30, "inspection_personnel": 0.08, "inspection_report": 0.62}


@dataclass(frozen=True, kw_only=True)
class Personal:
    """Everything personal that was made up, for scans that look for it where it must not be."""

    names: frozenset[str] = field(repr=False)
    phones: frozenset[str] = field(repr=False)
    id_numbers: frozenset[str] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class World:
    """What the platforms hold before anything is exchanged.

    A frame of ``frames`` has the columns platform, foreign_key (the platform's own key) and the
    contract's fields, typed; ``overrides`` are texts in place of values that have no such type, where
    a platform keeps text.
    """

    seed: int
    records: int
    frames: dict[str, pl.DataFrame]
    overrides: tuple[Override, ...]
    labels: tuple[Label, ...]  # every broken row, with the rule that must find it
    refusals: tuple[Refusal, ...]  # sound here, refused by the national platform's own rule
    personal: Personal

    def rows(self, platform: str, contract: str) -> pl.DataFrame:
        """The records of one contract that the platform entered."""
        return self.frames[contract].filter(pl.col("platform") == platform)

    def sound(self, platform: str, contract: str) -> pl.DataFrame:
        """``rows`` without the broken ones."""
        bad = [b.foreign_key for b in self.labels if (b.platform, b.contract) == (platform, contract)]
        return self.rows(platform, contract).filter(pl.col("foreign_key").is_in(bad).not_())


def generate(records: int = 10_000, seed: int = 330683, *, share_broken: float = 0.01) -> World:
    """The world of that seed: the same arguments, the same world.

    ``records`` is the number of rows in all, broken ones included; ``round(records * share_broken)``
    of them are broken. At least 100 records.
    """
    if records < 100:
        raise ValueError("at least 100 records")
    rng = np.random.default_rng(seed)
    counts = _counts(records)
    few = max(1, records // 2000)
    spots = broken.plan(round(records * share_broken))
    unit_frame, refused_units = broken.without_door_number(
        rng, units.make(rng, counts["key_unit"], AS_OF), few
    )
    bad_units = broken.set_aside(rng, unit_frame, spots, avoid=refused_units)
    person_frame, staff = people.make(rng, counts["inspection_personnel"])
    report_frame, refused_reports = broken.with_long_name(
        rng, reports.make(rng, counts["inspection_report"], unit_frame.filter(pl.Series(~bad_units)), staff, AS_OF), few
    )  # fmt: skip
    frames = {"key_unit": unit_frame, "inspection_personnel": person_frame, "inspection_report": report_frame}
    personal = _personal(frames)
    frames, labels, overrides = broken.spoil(
        rng, frames, spots, units=bad_units, avoid={"inspection_report": refused_reports}
    )
    refusals = broken.refusals(frames, {"key_unit": refused_units, "inspection_report": refused_reports})
    return World(seed=seed, records=records, frames=frames, overrides=overrides, labels=labels,
                 refusals=refusals, personal=_more(personal, frames))  # fmt: skip


def _counts(records: int) -> dict[str, dict[str, int]]:
    """Rows by contract and platform; they add up to ``records``."""
    found: dict[str, dict[str, int]] = {}
    left = records
    for contract in CONTRACTS[:2]:
        total = round(records * _SHARES[contract])
        found[contract] = _divide(total)
        left -= total
    found[CONTRACTS[2]] = _divide(left)
    return found


def _divide(total: int) -> dict[str, int]:
    parts = {p: int(total * share) for p, share in PLATFORM_SHARES.items()}
    parts[OWNERS[0]] += total - sum(parts.values())
    return parts


def _personal(frames: dict[str, pl.DataFrame]) -> Personal:
    def values(*columns: tuple[str, str]) -> frozenset[str]:
        found: set[str] = set()
        for contract, column in columns:
            for value in frames[contract][column].drop_nulls().unique():
                found.update(value.split("、"))
        return frozenset(found)

    return Personal(
        names=values(("key_unit", "legal_rep_name"), ("key_unit", "safety_contact_name"),
                     ("inspection_personnel", "person_name"), ("inspection_report", "contact_name"),
                     ("inspection_report", "tester"), ("inspection_report", "reviewer"),
                     ("inspection_report", "signer")),
        phones=values(("key_unit", "safety_contact_phone"), ("inspection_report", "contact_phone")),
        id_numbers=values(("inspection_personnel", "id_no")),
    )  # fmt: skip


def _more(before: Personal, frames: dict[str, pl.DataFrame]) -> Personal:
    """With what the broken rows hold besides."""
    after = _personal(frames)
    return Personal(names=before.names | after.names, phones=before.phones | after.phones,
                    id_numbers=before.id_numbers | after.id_numbers)  # fmt: skip
