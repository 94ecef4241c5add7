"""Turning a column of one kind into another: exact, or null.

Each function takes and gives polars expressions. A value that cannot be turned without losing
something becomes null; the mapper tells those from values that were null before.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from catalog.shape import TEXT_TYPES, Field
from mappings import formats as form

SPACES = " \t\r\n\u00a0\u3000\ufeff"
TRUE, FALSE = ("1", "true"), ("0", "false")  # the first of each is written
_WIDE = pl.Decimal(38, 18)  # 12 digits before the point, 12 after, times a factor of 7 and 6
FACTOR = r"^-?[0-9]{1,7}(\.[0-9]{1,6})?$"
RULES = {"text": "text", "date": "date", "datetime": "date", "integer": "number", "decimal": "number",
         "boolean": "boolean"}  # fmt: skip
# (from, to) pairs that have a meaning; date and datetime turn into one another only where ``as`` says so.
TURNS = frozenset(
    {(a, b) for a in ("text",) for b in RULES}
    | {(a, "text") for a in RULES}
    | {(a, a) for a in RULES}
    | {("integer", "decimal"), ("decimal", "integer"), ("integer", "boolean"), ("boolean", "integer")}
    | {("date", "datetime"), ("datetime", "date")}
)  # fmt: skip


def kind_of(field: Field) -> str:
    """text, date, datetime, integer, decimal or boolean."""
    return "text" if field.type in TEXT_TYPES else field.type


def clean(text: pl.Expr, *, trim: bool, upper: bool, null_if: Sequence[str]) -> pl.Expr:
    """Texts as the other functions take them."""
    if trim:
        text = text.str.strip_chars(SPACES)
        text = pl.when(text != "").then(text)
    if upper:
        text = text.str.to_uppercase()
    if null_if:
        text = pl.when(text.is_in(list(null_if)).not_()).then(text)
    return text


def _only(text: pl.Expr, pattern: str) -> pl.Expr:
    return pl.when(text.str.contains(pattern)).then(text)


def to_date(text: pl.Expr, formats: Sequence[str]) -> pl.Expr:
    """Dates of the years 1 to 9999, by the first format that fits."""
    tries = [
        _only(text, form.pattern(f)).str.to_date(form.reading(f), strict=False, exact=True)
        for f in formats
    ]  # fmt: skip
    made = pl.coalesce(tries)
    return pl.when(made.dt.year() >= 1).then(made)


def _instant(text: pl.Expr, one: str, zone: str) -> pl.Expr:
    text = _only(text, form.pattern(one))
    if not form.clocked(one):
        made = text.str.to_date(form.reading(one), strict=False, exact=True)
        return midnight(pl.when(made.dt.year() >= 1).then(made), zone)
    made = text.str.to_datetime(form.reading(one), time_unit="us", strict=False, exact=True)
    if not form.zoned(one):
        made = made.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    return made.dt.convert_time_zone("UTC")


def to_datetime(text: pl.Expr, formats: Sequence[str], zone: str) -> pl.Expr:
    """Instants in UTC; a text without an offset is local to ``zone``.

    A local time that a change of clocks skipped or doubled is null: nobody can tell which it was.
    """
    made = pl.coalesce([_instant(text, f, zone) for f in formats])
    return pl.when(made.dt.year() >= 1).then(made)


def midnight(day: pl.Expr, zone: str) -> pl.Expr:
    """The instant, in UTC, when the day begins in ``zone``."""
    local = day.cast(pl.Datetime("us")).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return local.dt.convert_time_zone("UTC")


def day_of(instant: pl.Expr, zone: str) -> pl.Expr:
    """The calendar day of an instant in ``zone``."""
    return instant.dt.convert_time_zone(zone).dt.date()


def to_integer(text: pl.Expr) -> pl.Expr:
    return _only(text, "^[+-]?[0-9]+$").cast(pl.Int64, strict=False)


def to_decimal(text: pl.Expr, precision: int, scale: int) -> pl.Expr:
    """Decimals whose digits all fit; zeros behind the last digit that counts are free."""
    tail = f"[0-9]{{0,{scale}}}0*"
    lone = f"|\\.[0-9]{{1,{scale}}}0*" if scale else ""
    pattern = f"^[+-]?(?:[0-9]+(?:\\.{tail})?{lone})$"
    return _only(text, pattern).cast(pl.Decimal(precision, scale), strict=False)


def to_boolean(text: pl.Expr, true: Sequence[str], false: Sequence[str]) -> pl.Expr:
    return (
        pl.when(text.is_in(list(true))).then(pl.lit(True)).when(text.is_in(list(false))).then(pl.lit(False))
    )


def narrow(value: pl.Expr, target: Field) -> pl.Expr:
    """Decimals or integers as the number that ``target`` holds, exactly."""
    scale = 0 if target.type == "integer" else (target.scale or 0)
    wide = value.cast(_WIDE, strict=False)
    cut = wide.cast(pl.Decimal(38, scale), strict=False)
    exact = pl.when(cut.cast(_WIDE, strict=False) == wide).then(cut)
    if target.type == "integer":
        return exact.cast(pl.Int64, strict=False)
    return exact.cast(pl.Decimal(target.precision, scale), strict=False)


def scaled(value: pl.Expr, kind: str, factor: str, target: Field) -> pl.Expr:
    """The number times ``factor`` (see FACTOR)."""
    text = value if kind == "text" else value.cast(pl.String)
    wide = _only(text, r"^[+-]?[0-9]{1,12}(?:\.[0-9]{0,12}0*)?$").cast(_WIDE, strict=False)
    return narrow(wide * pl.lit(factor).cast(_WIDE), target)


def to_text(value: pl.Expr, kind: str, *, formats: Sequence[str] | None, zone: str,
            true: Sequence[str], false: Sequence[str]) -> pl.Expr:  # fmt: skip
    """Any kind as text, by the first format or spelling."""
    if kind == "date":
        return value.dt.to_string(form.writing((formats or form.DATE)[0]))
    if kind == "datetime":
        return value.dt.convert_time_zone(zone).dt.to_string(form.writing((formats or form.DATETIME)[0]))
    if kind == "boolean":
        return pl.when(value).then(pl.lit(true[0])).when(value.not_()).then(pl.lit(false[0]))
    return value if kind == "text" else value.cast(pl.String)


def no_nul(text: pl.Expr) -> pl.Expr:
    """Texts without the character NUL, which no database column takes."""
    return pl.when(text.str.contains("\0", literal=True).not_()).then(text)


def turn(value: pl.Expr, kind: str, target: Field, *, formats: Sequence[str] | None, zone: str,
         true: Sequence[str], false: Sequence[str], factor: str | None) -> pl.Expr:  # fmt: skip
    """A value of ``kind`` as the value that ``target`` holds, or null."""
    to = kind_of(target)
    if factor is not None:
        return scaled(value, kind, factor, target)
    if to == "text":
        return no_nul(to_text(value, kind, formats=formats, zone=zone, true=true, false=false))
    if kind == "text":
        if to == "date":
            return to_date(value, formats or form.DATE)
        if to == "datetime":
            return to_datetime(value, formats or form.DATETIME, zone)
        if to == "integer":
            return to_integer(value)
        if to == "decimal":
            return to_decimal(value, target.precision or 38, target.scale or 0)
        return to_boolean(value, true, false)
    if (kind, to) == ("date", "datetime"):
        return midnight(value, zone)
    if (kind, to) == ("datetime", "date"):
        return day_of(value, zone)
    if (kind, to) == ("integer", "boolean"):
        return pl.when(value == 1).then(pl.lit(True)).when(value == 0).then(pl.lit(False))
    if (kind, to) == ("boolean", "integer"):
        return value.cast(pl.Int64)
    if to in ("integer", "decimal") and (kind, to) != ("integer", "integer"):
        return exact_number(value, kind, target)
    return value


def exact_number(value: pl.Expr, kind: str, target: Field) -> pl.Expr:
    """A typed number as another typed number, through its plain digits: all of them or none."""
    text = value.cast(pl.String)
    if target.type == "decimal":
        return to_decimal(text, target.precision or 38, target.scale or 0)
    if kind == "decimal":
        whole = text.str.replace(r"\.0*$", "")
        return to_integer(whole)
    return value
