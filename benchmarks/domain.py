"""What the check characters of identity codes cost, in passes of one regular expression of polars.

``python -m benchmarks.domain``. Both sides take turns over the same million codes, one in fifty of them wrong;
processor time of this process, which other work beside it moves less than the wall's.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable
from datetime import date

import polars as pl

from catalog import identity

FORM = {"uscc": "^[0-9A-HJ-NPQRTUWXY]{18}$", "id_number": "^[1-9][0-9]{16}[0-9X]$"}
COUNTIES = ("330683", "330521", "110103", "330109")


def codes(kind: str, rows: int, seed: int = 1) -> pl.Series:
    """Made codes, sound but for one in fifty."""
    dice = random.Random(seed)
    made = []
    for _ in range(rows):
        if kind == "uscc":
            org = "".join(dice.choices(identity.ALPHABET, k=8))
            body = f"91{dice.choice(COUNTIES)}{org}{identity.org_check_digit(org)}"
            code = body + identity.uscc_check_digit(body)
        else:
            body = f"{dice.choice(COUNTIES)}19{dice.randrange(60, 99)}{dice.randrange(1, 13):02d}{dice.randrange(1, 29):02d}{dice.randrange(1000):03d}"
            code = body + identity.id_check_digit(body)
        made.append(code if dice.random() > 0.02 else code[:-1] + dice.choice("0123456789"))
    return pl.Series("code", made)


def cpu(work: Callable[[], object], former: list[float]) -> None:
    begun = time.process_time()
    work()
    former.append(time.process_time() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=7)
    given = parser.parse_args()
    day = date(2026, 11, 26)
    print("| code | check, ms | one regex, ms | ratio | least | greatest |\n|---|---|---|---|---|---|")
    for kind in FORM:
        column = codes(kind, given.rows)
        arrow = column.to_arrow(compat_level=pl.CompatLevel.oldest())
        check = (
            (lambda a=arrow: identity.uscc_ok(a))
            if kind == "uscc"
            else (lambda a=arrow: identity.id_no_ok(a, day))
        )
        regex = lambda c=column, k=kind: c.str.contains(FORM[k])  # noqa: E731
        ours: list[float] = []
        theirs: list[float] = []
        check(), regex()
        for _ in range(given.times):
            cpu(check, ours)
            cpu(regex, theirs)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(f"| `{kind}` | {statistics.median(ours) * 1000:.0f} | {statistics.median(theirs) * 1000:.0f} | "
              f"{statistics.median(ratios):.1f} | {min(ratios):.1f} | {max(ratios):.1f} |")  # fmt: skip


if __name__ == "__main__":
    main()
