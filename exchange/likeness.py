"""Likeness: which records of subjects may be of one subject, and by what evidence. Nothing is decided here.

Claims are rows (contract, uid, kind, division, by, field, value): what each record says of its own subject.
"""

from __future__ import annotations

import polars as pl

CLAIMS = pl.Schema({
    "contract": pl.String, "uid": pl.String, "kind": pl.String, "division": pl.String,
    "by": pl.String, "field": pl.String, "value": pl.String,
})  # fmt: skip
_ENDS = ("contract", "uid", "person", "division", "field", "value")
PAIRS = pl.Schema({
    "one_contract": pl.String, "one": pl.String, "other_contract": pl.String, "other": pl.String,
    "kind": pl.String, "one_field": pl.String, "other_field": pl.String, "value": pl.String,
})  # fmt: skip
ABOUT = "about"  # the kind of a claim that tells of another subject, not of the record's own
_LONG = 6  # characters of a name or an address that are more than "加油站" or "村委会"


def plain(column: pl.Expr) -> pl.Expr:
    """Names and addresses as they are compared: width, case, blanks and marks make no difference."""
    return column.str.normalize("NFKC").str.replace_all(r"[\s·.,,。、\-]", "").str.to_uppercase()


def pairs(claims: pl.DataFrame, *, likeness: float, crowd: int) -> tuple[pl.DataFrame, int]:
    """(PAIRS, one a pair and kind of evidence; values that too many records share, left out).

    Two records that bear one and the same USCC are one subject already and are no pair. ``claims`` bear
    valid USCCs alone.
    """
    names = _of(claims, "name").with_columns(value=plain(pl.col("value")))
    former = _of(claims, "former_names").with_columns(value=plain(pl.col("value")))
    uscc = _of(claims, "uscc").with_columns(value=pl.col("value").str.slice(8, 9))
    org = _of(claims, "org_code").with_columns(
        value=pl.col("value").str.replace_all("[^0-9A-Za-z]", "").str.to_uppercase()
    )
    registered = _of(claims, "reg_no").filter(pl.col("value").str.contains(r"^[0-9]{15}$"))
    persons = _of(claims, "id_no")
    addresses = _of(claims, "address").with_columns(value=plain(pl.col("value")))
    in_county, in_city = pl.col("division"), pl.col("division").str.slice(0, 4)
    found, crowds = [], 0
    for kind, left, right, place in (
        ("org_code", uscc, org, None), ("org_code", org, org, None), ("reg_no", registered, registered, None),
        ("person_token", persons, persons, None), ("same_name", names, names, in_county),
        ("former_name", former, names, in_city),
    ):  # fmt: skip
        made, crowded = _joined(kind, left, right, place, crowd)
        found.append(made)
        crowds += crowded
    close, crowded = _close(names, addresses, likeness, crowd)
    every = pl.concat([*found, close]).unique(["one", "other", "kind"], keep="first", maintain_order=True)
    about = claims.filter(pl.col("kind") == ABOUT)["uid"].implode()
    every = every.filter(~(pl.col("one").is_in(about) & pl.col("other").is_in(about)))
    bearers = claims.filter(pl.col("by") == "uscc").select("uid", code="value")
    known = every.join(bearers, left_on="one", right_on="uid").join(
        bearers, left_on=["other", "code"], right_on=["uid", "code"]
    )
    every = every.join(known.select("one", "other"), on=["one", "other"], how="anti")
    return every.sort("one", "other", "kind"), crowds + crowded


def _of(claims: pl.DataFrame, by: str) -> pl.DataFrame:
    return claims.filter(pl.col("by") == by).with_columns(person=pl.col("kind") == "person").select(_ENDS)


def _joined(
    kind: str, left: pl.DataFrame, right: pl.DataFrame, place: pl.Expr | None, crowd: int
) -> tuple[pl.DataFrame, int]:
    where = pl.lit("") if place is None else place
    keys = ["value", "place", "person"]
    left, right = (
        f.filter(pl.col("value").str.len_chars() > 0).with_columns(place=where).unique(["uid", *keys]) for f in (left, right)
    )  # fmt: skip
    many = right.group_by(keys).len().filter(pl.col("len") > crowd).join(left, on=keys, how="semi")
    left, right = (f.join(many, on=keys, how="anti") for f in (left, right))
    return _turned(left.join(right, on=keys, suffix="_r"), kind), many.height


def _turned(joined: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Each pair once, the lesser uid first."""
    first = pl.col("uid") < pl.col("uid_r")

    def end(name: str, lesser: bool) -> pl.Expr:
        mine, theirs = (name, f"{name}_r") if lesser else (f"{name}_r", name)
        return pl.when(first).then(mine).otherwise(theirs)

    return joined.filter(pl.col("uid") != pl.col("uid_r")).select(
        one_contract=end("contract", True), one=end("uid", True),
        other_contract=end("contract", False), other=end("uid", False),
        kind=pl.lit(kind), one_field=end("field", True), other_field=end("field", False), value="value",
    ).unique(["one", "other", "kind"], keep="first", maintain_order=True)  # fmt: skip


def _close(
    names: pl.DataFrame, addresses: pl.DataFrame, likeness: float, crowd: int
) -> tuple[pl.DataFrame, int]:
    """Pairs at one address whose names have many pairs of neighbouring characters in common."""
    long = addresses.filter(pl.col("value").str.len_chars() >= _LONG)
    found, crowded = _joined("similar_name", long, long, None, crowd)
    grams = (
        names.select("uid", "field", gram=pl.col("value").str.split("")).explode("gram", empty_as_null=True)
        .with_columns(gram=pl.col("gram") + pl.col("gram").shift(-1).over("uid", "field"))
        .drop_nulls("gram").unique()
    )  # fmt: skip
    size = grams.group_by("uid", "field").len()
    shared = (
        found.select("one", "other").join(grams, left_on="one", right_on="uid")
        .join(grams, left_on=["other", "gram"], right_on=["uid", "gram"], suffix="_r")
        .group_by("one", "other", "field", "field_r").len("common")
        .join(size.rename({"len": "a"}), left_on=["one", "field"], right_on=["uid", "field"])
        .join(size.rename({"len": "b"}), left_on=["other", "field_r"], right_on=["uid", "field"])
        .filter(pl.col("common") >= likeness * (pl.col("a") + pl.col("b") - pl.col("common")))
        .unique(["one", "other"], keep="first", maintain_order=True)
    )  # fmt: skip
    return found.join(shared.select("one", "other"), on=["one", "other"], how="semi"), crowded
