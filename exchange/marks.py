"""Marks: synthetic values (蜜标) that stand in one field of one record and nowhere else, each with the field's form.

A mark is known again by its texts, whole and in part, in the encodings that ``forms`` lists. What is made from
a value with a key or a one-way function (digest, token, pseudonym, sealed bytes) is not the value and is not
looked for.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from catalog.identity import ALPHABET, id_check_digit, org_check_digit, uscc_check_digit
from catalog.shape import Field

LONGEST = 24  # characters of a text
PART = 8  # characters of a text's two ends, which are known alone
_HAN = (0x4E00, 0x9FA5)  # what GBK can write too: any two of them are rarer than one in 400 million
_ZONES = (UTC, ZoneInfo("Asia/Shanghai"))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One field's value in one synthetic record."""

    record: str  # the record's kind: plain, outside, …
    field: str
    whole: tuple[str, ...]  # texts that are the value; none where the type has too few values to be known by
    parts: tuple[str, ...] = ()  # texts that only a part of the value bears

    @property
    def faint(self) -> bool:
        """Too short to be told from chance inside a text; known where it is a whole cell."""
        return all(len(t) < (2 if ord(t[0]) >= _HAN[0] else 6) for t in self.whole if t)


@dataclass(kw_only=True)
class Mint:
    """Makes marks; no text twice in the mint's life."""

    dice: Random
    _taken: set[str] = field(default_factory=set)

    def value(
        self, shape: Field, *, length: int | None = None
    ) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
        """(a value of the field's type, its texts whole, its texts in part); fits ``length`` where that is given."""
        for _ in range(1000):
            made: tuple[Any, tuple[str, ...], tuple[str, ...]] = getattr(self, f"_{shape.type}")(
                shape, min(length or LONGEST, shape.length or LONGEST)
            )
            if not made[1] or made[1][0] not in self._taken:
                self._taken.update(made[1][:1])
                return made
        raise AssertionError(f"the type {shape.type} has too few values")

    def text(self, length: int) -> str:
        """So many Chinese characters."""
        return "".join(chr(self.dice.randint(*_HAN)) for _ in range(length))

    def _digits(self, length: int) -> str:
        return "".join(self.dice.choice("0123456789") for _ in range(length))

    def _string(self, shape: Field, length: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        made = self.text(min(length, LONGEST))
        return made, (made,), (made[:PART], made[-PART:]) if len(made) > PART else ()

    _code = _string  # one that stands in no table

    def _json(self, shape: Field, length: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        made = self.text(PART)
        return json.dumps({"v": made}, ensure_ascii=False), (made,), ()

    def _hex(self, shape: Field, length: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        made = self.dice.randbytes(max(1, min(length, 32) // 2)).hex().upper()
        return made, (made,), ()

    def _phone(self, shape: Field, length: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        made = f"1{self.dice.choice('3456789')}{self._digits(9)}"
        return made, (made,), (made[-8:],)

    def _id_no(self, shape: Field, length: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        first = f"330683{self._day():%Y%m%d}{self._digits(3)}"
        made = first + id_check_digit(first)
        return made, (made,), (made[6:],)

    def _uscc(self, shape: Field, length: int) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        org = "".join(self.dice.choice(ALPHABET) for _ in range(8))
        first = f"91330683{org}{org_check_digit(org)}"
        made = first + uscc_check_digit(first)
        return made, (made,), (made[8:],)

    def _division(self, shape: Field, length: int) -> tuple[None, tuple[str, ...], tuple[str, ...]]:
        return None, (), ()

    def _boolean(self, shape: Field, length: int) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
        return True, (), ()

    def _integer(self, shape: Field, length: int) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
        made = self.dice.randint(10**8, 10**9 - 1) if length >= 9 else self.dice.randint(1, 10**length - 1)
        return made, (str(made), f"{made:,}"), ()

    def _decimal(self, shape: Field, length: int) -> tuple[Decimal, tuple[str, ...], tuple[str, ...]]:
        """Digits behind the point as far as they go, the last not zero; few before it where there are many."""
        scale, before = shape.scale or 0, (shape.precision or 0) - (shape.scale or 0)
        whole = self.dice.randint(61, 88) if scale >= 5 and before >= 2 else int("1" + self._digits(min(before, 9) - 1)) if before else 0  # fmt: skip
        tail = self._digits(scale - 1) + self.dice.choice("123456789") if scale else ""
        made = f"{whole}.{tail}" if scale else str(whole)
        return Decimal(made), (made, made.replace(".", "")) if len(made) > PART else (made,), ()

    def _day(self) -> date:
        """Long ago, and the first of no month or year."""
        return date(self.dice.randint(1903, 1948), self.dice.randint(2, 12), self.dice.randint(2, 28))

    def _date(self, shape: Field, length: int) -> tuple[date, tuple[str, ...], tuple[str, ...]]:
        made = self._day()
        return made, _days(made), ()

    def _datetime(self, shape: Field, length: int) -> tuple[datetime, tuple[str, ...], tuple[str, ...]]:
        day = date(self.dice.randint(1971, 1984), self.dice.randint(2, 12), self.dice.randint(2, 27))
        hour, minute, second = (self.dice.randint(1, n) for n in (14, 59, 59))
        made = datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)
        local = [made.astimezone(zone) for zone in _ZONES]
        texts = [
            f"{t:{d}{between}%H:%M:%S}" for t in local for d in ("%Y-%m-%d", "%Y/%m/%d") for between in "T "
        ]
        return made, (*texts, *(f"{t:%Y%m%d%H%M%S}" for t in local), str(int(made.timestamp()))), _days(day)


def _days(day: date) -> tuple[str, ...]:
    y, m, d = day.year, day.month, day.day
    return (
        day.isoformat(),
        f"{day:%Y/%m/%d}",
        f"{day:%Y.%m.%d}",
        f"{day:%Y%m%d}",
        f"{y}年{m}月{d}日",
        f"{y}/{m}/{d}",
    )


def forms(text: str) -> dict[bytes, str]:
    """The bytes that the text may stand as, in small letters, and what each form is called."""
    found: dict[bytes, str] = {}

    def put(made: bytes, name: str) -> None:
        if len(made) >= 5:
            found.setdefault(made.lower(), name)

    put(text.encode(), "text")
    for code in ("utf-16-le", "utf-16-be", "gb18030"):
        put(text.encode(code), code)
    escaped = json.dumps(text)[1:-1]
    put(escaped.encode(), "json")
    put("".join(f"\\U{ord(c):08x}" for c in text).encode(), "escape")
    put("".join(f"&#{ord(c)};" for c in text).encode(), "xml")
    put("".join(f"&#x{ord(c):x};" for c in text).encode(), "xml")
    for code in ("utf-8", "gb18030", "utf-16-le"):
        raw = text.encode(code)
        put(raw.hex().encode(), "hex")
        put("".join(f"\\x{b:02x}" for b in raw).encode(), "bytes")
        put("".join(f"%{b:02x}" for b in raw).encode(), "url")
        put(quote(raw, safe="").encode(), "url")
        for offset in range(3):  # as it stands inside something longer
            coded = base64.b64encode(b"\0" * offset + raw)[(0, 2, 3)[offset] :]
            sure = coded[: (len(raw) * 8 - (0, 4, 2)[offset]) // 6]
            if len(sure) >= 7:
                put(sure, "base64")
                put(sure.replace(b"+", b"-").replace(b"/", b"_"), "base64")
    return found
