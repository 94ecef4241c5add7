"""Places: an address to its county, a division's code to its province or city.

What is shown is a name or a code of the table of divisions or nothing: no kernel here can show more.
"""

from __future__ import annotations

from functools import cache

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog.divisions import Divisions
from catalog.errors import Reason
from catalog.masked import CUT
from catalog.masks.mask import Options, Outgoing
from catalog.shape import Field

LEVELS = ("province", "city", "county")
ROWS = 65_536  # worked on at a time
_HEAD = 30  # bytes of an address that mostly tell its county: ten Chinese characters
_SIZES = pa.array([6, 9, 12], pa.int32())  # digits of a county's, a township's and a village's code
_SHORT = r"(?:省|市|(?:壮族|回族|维吾尔)?自治区)$"  # what people leave out of a province's or a city's name


def address(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Province, city and county that it begins with, as they were written, and three stars; else stars alone.

    A county's name must be there, whole; those of its province and city may be missing or short. Names of
    every vintage count. Of a city without counties its own name is shown.
    """
    known = pa.array([], pa.binary())  # heads that were met, each with what it becomes
    shown = pa.array([], pa.string())
    parts = []
    for start in range(0, len(array), ROWS):
        texts = array.slice(start, ROWS).cast(pa.string())
        heads = pc.binary_slice(texts.cast(pa.binary()), 0, _HEAD)
        found = pc.index_in(heads, value_set=known, skip_nulls=True)
        if found.null_count > heads.null_count:
            new = pc.unique(heads.filter(pc.and_(pc.is_null(found), pc.is_valid(heads))))
            known, shown = pa.concat_arrays([known, new]), pa.concat_arrays([shown, _shown(new)])
            found = pc.index_in(heads, value_set=known, skip_nulls=True)
        made = shown.take(found)
        if made.null_count > texts.null_count:  # a longer name may begin with such a head
            longer = pc.and_(pc.is_null(made), pc.is_valid(texts))
            whole = _shown(texts.filter(longer).cast(pa.binary()), whole=True)
            made = pc.replace_with_mask(made, longer, whole)
        parts.append(made.cast(array.type))
    return pa.concat_arrays(parts) if parts else array


def division(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The code of the province or city that it lies in, or the county's own of a longer code; else three stars.

    A city that the table does not have (a county right under its province) gives the province.
    """
    codes, shown = _generalised(options["to"])
    parts = []
    for start in range(0, len(array), ROWS):
        texts = array.slice(start, ROWS).cast(pa.string())
        heads = pc.binary_slice(texts.cast(pa.binary()), 0, 6)
        made = shown.take(pc.index_in(heads, value_set=codes, skip_nulls=True))
        sizes = pc.binary_length(texts)
        if pc.min_max(sizes) != pa.scalar({"min": 6, "max": 6}, pc.min_max(sizes).type):
            made = pc.if_else(pc.is_in(sizes, value_set=_SIZES), made, None)
        if made.null_count > texts.null_count:
            made = pc.if_else(pc.is_valid(texts), pc.fill_null(made, CUT), None)
        parts.append(made.cast(array.type))
    return pa.concat_arrays(parts) if parts else array


def hides_something(field: Field, options: Options) -> Reason | None:
    """A code of six digits is a county's already."""
    if field.type == "division" and options["to"] == "county":
        return ("区划代码本来就只到县级: to 须为 province 或 city",
                "a division code tells no more than its county: to is province or city")  # fmt: skip
    return None


def _shown(heads: pa.Array, *, whole: bool = False) -> pa.Array:
    """What each text becomes; null where it ends inside a longer path and is not ``whole``."""
    frame = pl.DataFrame({"text": pl.from_arrow(heads)}).with_row_index("row")
    cut = [
        frame.select("row", path=pl.col("text").bin.slice(0, size)).filter(pl.col("path").bin.size() == size)
        for size in _paths()["size"].unique()
    ]
    found = _paths().join(pl.concat(cut), on="path").sort("size").unique("row", keep="last")
    made = frame.join(found, on="row", how="left", maintain_order="left")
    shown = pl.coalesce(pl.col("path").cast(pl.String) + CUT, pl.lit(CUT))
    if not whole:
        shown = pl.when(~pl.col("text").is_in(_beginnings().implode())).then(shown)
    texts = made.select(shown.alias("v"))["v"].to_arrow(compat_level=pl.CompatLevel.oldest())
    return texts.cast(pa.string())


@cache
def _paths() -> pl.DataFrame:
    """Every way to write a county with what it lies in before it, as bytes, and cities without counties; sizes."""
    table = Divisions.load().table
    names = table.select("code", "level", "title").unique()
    names = pl.concat([names, names.filter(pl.col("level") != "county").with_columns(
        pl.col("title").str.replace(_SHORT, ""))]).unique()  # fmt: skip
    province = names.filter(pl.col("level") == "province").select(p=pl.col("code").str.head(2), pt="title")
    city = names.filter(pl.col("level") == "city").select(c=pl.col("code").str.head(4), ct="title")
    ends = names.filter(pl.col("level") == "county").select(
        "title", p=pl.col("code").str.head(2), c=pl.col("code").str.head(4)
    )
    bare = table.filter(pl.col("level") == "city").select(
        "title", p=pl.col("code").str.head(2), c=pl.col("code").str.head(4)
    )
    bare = bare.join(ends, on="c", how="anti").with_columns(c=pl.lit(""))
    ends = pl.concat([ends, bare])
    nothing = pl.lit("")
    ends = pl.concat([ends.with_columns(ct=nothing), ends.join(city, on="c").select(*ends.columns, "ct")])
    ends = pl.concat([ends.with_columns(pt=nothing), ends.join(province, on="p").select(*ends.columns, "pt")])
    path = ends.select(path=(pl.col("pt") + pl.col("ct") + pl.col("title")).cast(pl.Binary)).unique()
    return path.with_columns(size=pl.col("path").bin.size())


@cache
def _beginnings() -> pl.Series:
    """The heads that a path goes on behind."""
    longer = _paths().filter(pl.col("size") > _HEAD)
    return longer["path"].bin.slice(0, _HEAD).unique()


@cache
def _generalised(level: str) -> tuple[pa.Array, pa.Array]:
    """(every code that ever was, what it becomes)."""
    codes = Divisions.load().table.select("code").unique().sort("code")["code"]
    province, city = codes.str.head(2) + "0000", codes.str.head(4) + "00"
    if level == "county":
        shown = codes
    else:
        shown = pl.select(
            pl.when(city.is_in(codes.implode()) & pl.lit(level == "city")).then(city).otherwise(province)
        ).to_series()
    old = pl.CompatLevel.oldest()
    return codes.cast(pl.Binary).to_arrow(compat_level=old).cast(pa.binary()), shown.to_arrow(
        compat_level=old
    ).cast(pa.string())
