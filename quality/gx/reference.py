"""What the field's rules ask of one value, in plain Python; None where the standard leaves nothing to ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from catalog import boxes, identity
from catalog.calendar import WorkingCalendar
from catalog.codes import CodeTables
from catalog.divisions import COUNTRY, shipped
from quality.kind import Known

CHINA = ZoneInfo("Asia/Shanghai")
_USCC = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015
_OPEN, _SHUT = "[(（【［", "])）】］"


@cache
def shipped_known(day: date) -> Known:
    """The tables that the project ships, asked on that day."""
    catalog = Path(boxes.__file__).parent
    return Known(
        day=day,
        divisions=shipped(),
        codes=CodeTables.load(catalog / "codes")[0],
        calendar=WorkingCalendar.load(catalog / "calendars" / "cn.csv")[0],
        boxes=boxes.shipped(),
    )


def uscc(value: str) -> bool:
    """GB 32100-2015, with the organisation code of GB 11714-1997 inside."""
    if len(value) != 18 or any(c not in _USCC for c in value) or not value[2:8].isdigit():
        return False
    if sum(_USCC.index(c) * 3**i for i, c in enumerate(value[:17])) % 31 != -_USCC.index(value[17]) % 31:
        return False
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(w * int(c, 36) for w, c in zip(weights, value[8:16], strict=True))
    digit = (11 - total % 11) % 11
    return value[16] == ("X" if digit == 10 else str(digit))


def id_number(value: str, day: date) -> bool:
    """GB 11643-1999, 18 characters: ISO 7064 MOD 11-2, a real day of birth not after ``day``."""
    if not re.fullmatch(r"[1-9][0-9]{16}[0-9X]", value):
        return False
    remainder = 0
    for c in value:
        remainder = (remainder * 2 + (10 if c == "X" else int(c))) % 11
    try:
        born = date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    return remainder == 1 and born <= day


def address_code(value: str, known: Known) -> bool:
    """Its first six digits were a county once; a permit or a card of permanent residence names none."""
    if value[:1] == "9" or value[:6] in ("810000", "820000", "830000"):
        return True
    return value[:6] in set(known.divisions.table["code"])


def phone(value: str) -> bool:
    return "\n" not in value and any(re.search(p, value, re.ASCII) for p in identity.patterns("phone"))


def document_number(value: str) -> bool:
    """发文字号, with whatever brackets around the year."""
    plain = re.sub(r"\s", "", value)
    plain = re.sub(f"[{re.escape(_OPEN)}]([0-9]{{4}})[{re.escape(_SHUT)}]", r"〔\1〕", plain)
    return any(re.search(p, plain) for p in identity.patterns("document_number"))


def unmasked(value: str) -> bool:
    return "*" not in value and "＊" not in value


def code_of(value: str, table: str, known: Known) -> bool:
    rows = known.codes.tables[table]
    return any(c.code == value and c.scheme == table and c.holds(known.day) for c in rows)


def division_of(value: str, year: int, known: Known) -> bool:
    """In force in that year, by the frozen table; a year behind the day has no divisions yet."""
    if not known.divisions.first <= year <= known.day.year:
        return False
    table = known.divisions.table
    rows = table.filter(pl.col("code") == value).iter_rows(named=True)
    year = min(year, known.divisions.last + 1)
    return any(
        (r["valid_from"] or 0) <= year <= (r["valid_to"] if r["valid_to"] is not None else 9999) for r in rows
    )


def in_box(lon: float, lat: float, division: str, known: Known) -> bool:
    """Inside the box of the division, or of the nearest one above it that has one."""
    rows = {r["division"]: r for r in known.boxes.table.iter_rows(named=True)}
    levels = (division, division[:4] + "00", division[:2] + "0000", COUNTRY)
    box = next(rows[x] for x in levels if x in rows)
    return bool(box["min_lon"] <= lon <= box["max_lon"] and box["min_lat"] <= lat <= box["max_lat"])


def china_day(value: date | datetime) -> date:
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=CHINA)).astimezone(CHINA).date()


@dataclass(frozen=True, kw_only=True)
class Term:
    """Within so many days of an event."""

    days: int
    unit: str = "working_days"
    not_before: bool = True

    def kept(self, late: date | datetime, early: date | datetime, known: Known) -> bool:
        ended, begun = china_day(late), china_day(early)
        if ended < begun:
            return not self.not_before
        days: Sequence[date] = [begun + timedelta(days=n + 1) for n in range((ended - begun).days)]
        used = len(days) if self.unit == "days" else sum(map(known.calendar.is_working, days))
        return used <= self.days


def stated_itself(stated: date | datetime, entered: date | datetime, happened: date | datetime) -> bool:
    """Not the day of entering, which a reader that could not read the date writes in its place."""
    return china_day(stated) != china_day(entered) or china_day(stated) == china_day(happened)


def today() -> date:
    """For Great Expectations, which has no day of its own to ask on."""
    return datetime.now(UTC).astimezone(CHINA).date()
