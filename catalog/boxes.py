"""Boxes: the least and the greatest longitude and latitude of divisions, as data that a bureau can change.

``boxes.csv``: division, min_lon, min_lat, max_lon, max_lat (degrees), source. A division without a line has
the box of the one above it. The shipped lines are approximate and wide enough for any of the usual systems
of coordinates; a point beyond its box is worth a look, no proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from catalog.divisions import COUNTRY
from catalog.errors import Problem

SHIPPED = Path(__file__).with_name("boxes.csv")
_EDGES = ("min_lon", "min_lat", "max_lon", "max_lat")


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """One row a division."""

    table: pl.DataFrame  # division, min_lon, min_lat, max_lon, max_lat

    @classmethod
    def load(cls, *files: Path) -> tuple[Boxes, list[Problem]]:
        """(the boxes of all files, every problem). A later file's box replaces; a broken file gives none."""
        schema = {"division": pl.String, **dict.fromkeys(_EDGES, pl.Float64)}
        found, problems = pl.DataFrame(schema=schema), []
        for path in files:
            try:
                own = pl.read_csv(path, schema_overrides=schema).select(*schema)
                wrong = own.filter(
                    ~pl.col("division").str.contains("^[0-9]{6}$")
                    | ~(pl.col("min_lon") <= pl.col("max_lon"))
                    | ~(pl.col("min_lat") <= pl.col("max_lat"))
                    | pl.any_horizontal(pl.all().is_null())
                    | pl.col("division").is_duplicated()
                )
            except (OSError, pl.exceptions.PolarsError):
                own, wrong = found.clear(), found.clear()
                problems.append(_problem(path, "读不了, 须为列 ", "cannot be read; its columns are "))
            if wrong.height:
                problems.append(_problem(path, f"有 {wrong.height} 行不对, 须为列 ",
                                         f"{wrong.height} lines are wrong; its columns are "))  # fmt: skip
                own = own.clear()
            found = pl.concat([found.join(own, on="division", how="anti"), own])
        return cls(table=found), problems

    def of(self, divisions: pl.Series) -> pl.DataFrame:
        """The box of each code: its own, else that of its city, its province, the country; null of a null."""
        code = divisions.rename("division")
        rows = pl.DataFrame({"division": code}).with_columns(
            city=pl.concat_str(pl.col("division").str.head(4), pl.lit("00")),
            province=pl.concat_str(pl.col("division").str.head(2), pl.lit("0000")),
            country=pl.when(pl.col("division").is_not_null()).then(pl.lit(COUNTRY)),
        )
        columns = [c for c in self.table.columns if c != "division"]
        for n, level in enumerate(("division", "city", "province", "country")):
            own = self.table.rename({"division": level} | {c: f"{c}{n}" for c in columns})
            rows = rows.join(own, on=level, how="left", maintain_order="left")
        return rows.select(**{c: pl.coalesce(f"{c}{n}" for n in range(4)) for c in columns})


def _problem(path: Path, zh: str, en: str) -> Problem:
    columns = ", ".join(("division", *_EDGES, "source"))
    return Problem(file=f"{path.parent.name}/{path.name}", line=0, zh=zh + columns, en=en + columns)


@cache
def shipped() -> Boxes:
    """The table that is shipped, read once."""
    return Boxes.load(SHIPPED)[0]
