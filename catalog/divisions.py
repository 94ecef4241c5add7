"""Divisions (行政区划, GB/T 2260): which codes were in force when, and what lies inside what.

A code is judged in the year it was written in: 3,214 are in force today, over 6,700 have been.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

COUNTRY = "000000"
_YEARS = 10_000  # a code and a year as one number: code * _YEARS + year


@dataclass(frozen=True, kw_only=True)
class Divisions:
    """The frozen table; columns as in catalog/divisions.md."""

    table: pl.DataFrame

    @classmethod
    def load(cls, path: Path | None = None) -> Divisions:
        """The table of ``path``, or the one that is shipped."""
        text = dict.fromkeys(("code", "level", "title", "successor", "begun_by", "ended_by"), pl.String)
        years = dict.fromkeys(("valid_from", "valid_to"), pl.Int32)
        source = path or Path(__file__).with_name("divisions.csv")
        return cls(table=pl.read_csv(source, schema_overrides={**text, **years}))

    @cached_property
    def first(self) -> int:
        """The first year that the table tells of (a change seen in it needs the one before)."""
        return int(self.table.select((pl.col("valid_from").min() - 1).fill_null(1980)).item())

    @cached_property
    def last(self) -> int:
        """The last year in which the table saw a change."""
        ends = self.table.select(pl.max_horizontal(pl.col("valid_from").max(), pl.col("valid_to").max()))
        return int(ends.fill_null(self.first).item())

    @cached_property
    def _in_force(self) -> pa.Int64Array:
        """code * 10000 + year, for every year in which the code was in force on a day."""
        spans = self.table.select(
            code=pl.col("code").cast(pl.Int64),
            year=pl.int_ranges(
                pl.col("valid_from").fill_null(self.first),
                pl.col("valid_to").fill_null(self.last + 1) + 1,
                dtype=pl.Int64,
            ),
        )
        keys = spans.explode("year", empty_as_null=True).select(pl.col("code") * _YEARS + pl.col("year"))
        return keys.to_series().unique().sort().to_arrow()

    @cached_property
    def _today(self) -> pa.StringArray:
        current = self.table.filter(pl.col("valid_to").is_null())["code"].unique().sort()
        return current.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())

    @cached_property
    def _current(self) -> frozenset[str]:
        return frozenset(self._today.to_pylist())

    @cached_property
    def _titles(self) -> dict[str, str]:
        ordered = self.table.sort("code", pl.col("valid_to").fill_null(9999))
        return dict(ordered.select("code", "title").iter_rows())

    @cached_property
    def _heirs(self) -> dict[str, tuple[str, ...]]:
        told = self.table.filter(pl.col("successor").is_not_null()).select("code", "successor")
        return {code: tuple(heirs.split()) for code, heirs in told.iter_rows()}

    def known(self, codes: pa.Array, vintages: pa.Array | None = None) -> pa.BooleanArray:
        """True where the code was in force in its vintage year (without one: is in force now). Never null.

        ``codes`` are texts, ``vintages`` integers of the same length. In a year behind the table's
        last one what is in force at its end still is; a year before its first one is not known.
        """
        now = pc.is_in(codes, value_set=self._today)
        if vintages is None:
            return now
        frame = pl.DataFrame({"c": pl.from_arrow(codes), "y": pl.from_arrow(vintages)})
        number = pl.when(pl.col("c").str.contains(r"^[0-9]{6}$")).then("c").cast(pl.Int64)
        key = number * _YEARS + pl.col("y").clip(upper_bound=self.last + 1)
        keys = frame.select(key.alias("k"))["k"].to_arrow()
        then = pc.is_in(keys, value_set=self._in_force)
        return pc.if_else(pc.is_null(vintages), now, then)

    def lies_in(self, codes: pa.Array, root: str, vintages: pa.Array | None = None) -> pa.BooleanArray:
        """True where what the code meant in its vintage year lies inside ``root`` today, or is it. Never null.

        A code that was retired lies where its successors do: where they lie apart, or none is known, it
        is known to lie in the country alone, for nobody says which of its records went where. Without a
        vintage all that the code ever meant must lie inside. ValueError where ``root`` is no code.
        """
        if not root_prefix(root):
            return in_subtree(codes, root)
        always, then = self._inside(root)
        ever = pc.is_in(codes, value_set=always)
        if vintages is None:
            return ever
        frame = pl.DataFrame({"c": pl.from_arrow(codes), "y": pl.from_arrow(vintages)})
        number = pl.when(pl.col("c").str.contains(r"^[0-9]{6}$")).then("c").cast(pl.Int64)
        key = number * _YEARS + pl.col("y").clip(upper_bound=self.last + 1)
        keys = frame.select(key.alias("k"))["k"].to_arrow()
        return pc.if_else(pc.is_null(vintages), ever, pc.is_in(keys, value_set=then))

    def _inside(self, root: str) -> tuple[pa.StringArray, pa.Int64Array]:
        """(codes that always lay inside it, code * 10000 + year of those that did then)."""
        found = self._roots.get(root)
        if found is None:
            inside = self._heirs_of_rows.with_columns(
                inside=(pl.col("heirs").list.len() > 0)
                & pl.col("heirs").list.eval(pl.element().str.starts_with(root_prefix(root))).list.all()
            )
            codes = inside.group_by("code").agg(pl.col("inside").all()).filter("inside")["code"].sort()
            years = inside.select(
                pl.col("inside"),
                code=pl.col("code").cast(pl.Int64),
                year=pl.int_ranges(
                    pl.col("valid_from").fill_null(self.first),
                    pl.col("valid_to").fill_null(self.last + 1) + 1,
                    dtype=pl.Int64,
                ),
            ).explode("year", empty_as_null=True)
            keys = (
                years.group_by(k=pl.col("code") * _YEARS + pl.col("year"))
                .agg(pl.col("inside").all())
                .filter("inside")["k"]
                .sort()
            )
            oldest = pl.CompatLevel.oldest()
            found = codes.to_arrow(compat_level=oldest).cast(pa.string()), keys.to_arrow()
            self._roots[root] = found
        return found

    @cached_property
    def _roots(self) -> dict[str, tuple[pa.StringArray, pa.Int64Array]]:
        return {}

    @cached_property
    def _heirs_of_rows(self) -> pl.DataFrame:
        """code, valid_from, valid_to, heirs: the codes in force today where it lies now."""
        now = pl.col("code").is_in(self._current)
        named = pl.col("successor").fill_null("").str.extract_all(r"[0-9]{6}")
        alone = pl.when(now).then(pl.concat_list("code")).otherwise(pl.lit([], pl.List(pl.String)))
        heirs = pl.when(named.list.len() > 0).then(named).otherwise(alone)
        return self.table.select("code", "valid_from", "valid_to", heirs=heirs)

    def title(self, code: str) -> str | None:
        """The division's last name."""
        return "全国" if code == COUNTRY else self._titles.get(code)

    def successors(self, code: str) -> tuple[str, ...]:
        """The codes in force today for this one: itself, or all that took its place; none where that is not known."""
        return (code,) if code in self._current else self._heirs.get(code, ())

    def in_force(self, code: str) -> bool:
        """Whether the code is in force today."""
        return code in self._current

    def retired(self, code: str) -> bool:
        """Whether it was once in force and is not today."""
        return code in self._titles and code not in self._current

    def successor(self, code: str) -> str | None:
        """The one code in force today for this one: itself, its only heir, or None where that is open."""
        heirs = self.successors(code)
        return heirs[0] if len(heirs) == 1 else None


@cache
def shipped() -> Divisions:
    """The table that is shipped, read once."""
    return Divisions.load()


def root_prefix(root: str) -> str:
    """The leading digits that every code inside ``root`` shares; ValueError where it is no code."""
    if len(root) != 6 or not (root.isascii() and root.isdigit()):
        raise ValueError("division: six digits, as a quoted string")
    if root == COUNTRY:
        return ""
    if root.endswith("0000"):
        return root[:2]
    return root[:4] if root.endswith("00") else root


def in_subtree(codes: pa.Array, root: str) -> pa.BooleanArray:
    """True where the code lies inside ``root`` or is it; never null, and false for what is no code."""
    wanted = root_prefix(root)
    pattern = f"^{wanted}[0-9]{{{6 - len(wanted)}}}$"
    return pc.fill_null(pc.match_substring_regex(codes.cast(pa.string()), pattern), False)


def in_root(code: str, root: str) -> bool:
    """Whether one code lies inside ``root`` or is it; no code lies in what is none."""
    return len(root) == 6 and root.isascii() and root.isdigit() and code.startswith(root_prefix(root))
