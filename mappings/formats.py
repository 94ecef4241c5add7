"""Formats of dates and instants: a small part of strptime's, read strictly and written alike.

The directives are %Y %m %d %H %M %S, %f after a point, and %z (``Z``, ``+0800``, ``+08:00``). A month,
day or hour may come without its leading zero where something stands between it and its neighbours.
"""

from __future__ import annotations

import re

_DIGITS = {"Y": "[0-9]{4}", "m": "[0-9]{2}", "d": "[0-9]{2}", "H": "[0-9]{2}", "M": "[0-9]{2}",
           "S": "[0-5][0-9]"}  # fmt: skip
_LOOSE = {"m": "[0-9]{1,2}", "d": "[0-9]{1,2}", "H": "[0-9]{1,2}", "M": "[0-9]{1,2}", "S": "[0-5]?[0-9]"}
_TOKEN = re.compile(r"\.%f|%.|[^%]", re.DOTALL)
DATE = ("%Y-%m-%d",)
DATETIME = ("%Y-%m-%d %H:%M:%S",)


def tokens(text: str) -> list[str]:
    """The directives and literal characters of a format, in order."""
    return _TOKEN.findall(text)


def problem(text: str, kind: str) -> tuple[str, str] | None:
    """(Chinese, English) where ``text`` is no format of a ``date`` or ``datetime``."""
    parts = tokens(text)
    found = [p[-1] for p in parts if p.startswith("%") or p == ".%f"]
    extra = sorted({p for p in found if p not in "YmdHMSz" and p != "f"} | {"f" for p in parts if p == "%f"})
    if extra:
        names = " ".join(f"%{p}" for p in extra)
        return (f"日期格式 {text} 中有不支持的 {names}", f"format {text} has {names}, which is not known")
    if len(found) != len(set(found)):
        return (f"日期格式 {text} 重复了同一部分", f"format {text} names a part twice")
    if not set("Ymd") <= set(found):
        return (f"日期格式 {text} 须含年月日", f"format {text} must hold year, month and day")
    if kind == "date" and set(found) & set("HMSzf"):
        return (f"日期格式 {text} 不应含时分秒", f"format {text} of a date must not hold a time")
    clock = [p for p in "HMS" if p in found]
    if clock != list("HMS")[: len(clock)] or ("f" in found and "S" not in found):
        return (f"日期格式 {text} 的时分秒不完整", f"the time in format {text} has a gap")
    if "Z" in parts:
        return (f"日期格式 {text} 中的 Z 须写作 %z", f"format {text}: write %z for the letter Z")
    return None


def pattern(text: str) -> str:
    """A regular expression of exactly the texts that ``text`` may be read from."""
    parts = tokens(text)
    out = []
    for i, part in enumerate(parts):
        if part == ".%f":
            out.append(r"(?:\.[0-9]{1,6})?")
        elif part == "%z":
            out.append("(?:Z|[+-][0-9]{2}:?[0-9]{2})")
        elif part.startswith("%"):
            near = [*parts[max(i - 1, 0) : i], *parts[i + 1 : i + 2]]
            tight = any(p.startswith("%") and p != "%z" for p in near)
            out.append(_DIGITS[part[1]] if tight else _LOOSE.get(part[1], _DIGITS[part[1]]))
        else:
            out.append(re.escape(part))
    return f"^{''.join(out)}$"


def reading(text: str) -> str:
    """The format as polars reads it, once ``pattern`` has matched."""
    return text.replace(".%f", "%.f").replace("%z", "%#z")


def writing(text: str) -> str:
    """The format as polars writes it: six digits after the point, an offset with its colon."""
    return text.replace(".%f", "%.6f").replace("%z", "%:z")


def zoned(text: str) -> bool:
    """True where the text itself names its offset from UTC."""
    return "%z" in text


def clocked(text: str) -> bool:
    """True where the format holds at least an hour."""
    return "%H" in text
