"""An oracle of the sharing policy, written from its documents alone: plain rows, no line of what decides.

Sources: docs/reference/declarations.md (entry, agreement, masks, filter), catalog/divisions.md, and the laws that
deny is the default and a tombstone carries a key alone. Declarations are plain dictionaries here.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

SHANGHAI = timezone(timedelta(hours=8))
TYPES = {
    "code": "string", "division_code": "division", "division_vintage": "integer", "name": "string", "phone": "phone",
    "id_no": "id_no", "status": "string", "grade": "integer", "closed": "boolean", "lng": "decimal", "found": "date",
    "seen": "datetime",
}  # fmt: skip
SENSITIVITY = defaultdict(lambda: "L1", {"name": "L2", "phone": "L2", "id_no": "L3"})
KEY = "code"
WORDS = {"string", "uscc", "id_no", "phone"}
MASKED_TYPES = {
    "keep_first": {"string"}, "phone": {"phone", "string"}, "id_no": {"id_no", "uscc", "string"}, "hide": WORDS,
    "truncate": WORDS, "coordinate": {"decimal"}, "number": {"integer", "decimal"}, "date": {"date", "datetime"},
    "pseudonym": WORDS,
}  # fmt: skip
STRICT = {"unconditional": 0, "conditional": 1, "none": 2}
OPAQUE = object()  # a pseudonym: any text but the value


class Divisions:
    """catalog/divisions.csv read row by row."""

    def __init__(self, path: Path) -> None:
        self.rows: dict[str, list[dict[str, str]]] = defaultdict(list)
        with path.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                self.rows[row["code"]].append(row)
        years = [
            int(r[k]) for rows in self.rows.values() for r in rows for k in ("valid_from", "valid_to") if r[k]
        ]
        self.last = max(years)

    def meant(self, code: str, year: int | None) -> list[list[str]] | None:
        """What took the place of each meaning of the code, in that year or ever; None where there is none."""
        rows = self.rows.get(code, [])
        if year is not None:
            rows = [
                r
                for r in rows
                if (not r["valid_from"] or int(r["valid_from"]) <= year)
                and (not r["valid_to"] or year <= int(r["valid_to"]))
            ]
        here = any(not r["valid_to"] for r in self.rows.get(code, []))
        return [
            r["successor"].split() or ([code] if here else []) for r in rows
        ] or None  # empty: itself, or not known

    def inside(self, code: str | None, year: int | None, root: str) -> bool:
        if code is None or len(code) != 6 or not code.isdigit():
            return False
        if root == "000000":
            return True
        begins = root[:2] if root.endswith("0000") else root[:4] if root.endswith("00") else root
        meanings = self.meant(code, year)
        return bool(meanings) and all(
            heirs and all(h.startswith(begins) for h in heirs) for heirs in meanings or []
        )


def begins(root: str) -> str:
    return (
        ""
        if root == "000000"
        else root[:2]
        if root.endswith("0000")
        else root[:4]
        if root.endswith("00")
        else root
    )


def day(at: datetime) -> date:
    return at.astimezone(SHANGHAI).date()


# -- may anything go


def granted(case: dict[str, Any], divisions: Divisions) -> bool:
    """Whether the recipient may have anything under this agreement, for this purpose, at this time."""
    a, e, who, at = case["agreement"], case["entry"], case["recipient"], case["at"]
    today = day(at)
    return (
        _entry_sound(e)
        and e["state"] in "345"  # 已发布; 撤销待审核, 撤销已驳回
        and _covered(a, who)
        and any(n in e["receivers"] for n in (who["level"], who["department"], who["id"]))
        and (a["subtree"] != "own" or who["division"].startswith(begins(e["subtree"])))
        and (a["subtree"] == "own" or a["subtree"].startswith(begins(e["subtree"])))
        and case["purpose"] in (None, a["purpose"])
        and case["life"] == "in_force"
        and case["terms"] in (None, "approved")
        and date.fromisoformat(a["valid_from"]) <= today <= date.fromisoformat(a["valid_to"])
        and bool(a["fields"])
        and len({f["name"] for f in a["fields"]}) == len(a["fields"])
        and all(_field_sound(f, e) for f in a["fields"])
        and (a["where"] is None or _filter_sound(a["where"]))
    )


def _entry_sound(e: dict[str, Any]) -> bool:
    own = STRICT.get(e["share_type"])
    if own is None or own == 2 or (own == 1 and (e["auto"] or not e["condition"].strip())):
        return False
    if len({f["name"] for f in e["fields"]}) != len(e["fields"]):
        return False
    return all(
        f["name"] in TYPES and not f["classified"] and STRICT.get(f["share_type"], 9) <= own
        for f in e["fields"]
    )


def _covered(a: dict[str, Any], who: dict[str, Any]) -> bool:
    group = a["recipients"]
    if (group is None) == (a["recipient"] is None):
        return False
    if group is None:
        return bool(a["recipient"] == who["id"])
    if not any(group.values()):
        return False
    return (
        (not group["levels"] or who["level"] in group["levels"])
        and (not group["departments"] or who["department"] in group["departments"])
        and (not group["subtree"] or who["division"].startswith(begins(group["subtree"])))
    )


def _field_sound(f: dict[str, Any], e: dict[str, Any]) -> bool:
    name = f["name"]
    listed = next((x for x in e["fields"] if x["name"] == name), None)
    if name not in TYPES or listed is None or listed["share_type"] == "none":
        return False
    if SENSITIVITY[name] == "L3" and not (f.get("legal_basis") or "").strip():
        return False
    mask = f.get("mask")
    if mask is None:
        return not f.get("options")
    return mask in MASKED_TYPES and TYPES[name] in MASKED_TYPES[mask]


def _filter_sound(where: dict[str, Any]) -> bool:
    if "field" in where:
        return where["field"] in TYPES and SENSITIVITY[where["field"]] != "L3"
    (parts,) = where.values()
    return all(_filter_sound(p) for p in (parts if isinstance(parts, list) else [parts]))


def room(case: dict[str, Any]) -> int | None:
    """How many rows may still be given; None without a ceiling."""
    left = [c["rows"] - case["used"].get(c["per"], c["rows"]) for c in case["agreement"]["ceilings"]]
    return max(0, min(left)) if left else None


# -- which records


def in_scope(record: dict[str, Any], case: dict[str, Any], divisions: Divisions) -> bool:
    a = case["agreement"]
    root = case["recipient"]["division"] if a["subtree"] == "own" else a["subtree"]
    year = record["division_vintage"]
    year = None if year is None else min(year, divisions.last + 1)
    return (
        divisions.inside(record["division_code"], year, root)
        and (a["where"] is None or _true(a["where"], record) is True)
        and (a["window"] is None or _in_window(record, a["window"], case["at"]))
    )


def _true(where: dict[str, Any], record: dict[str, Any]) -> bool | None:
    """True, false, or None where that is not known."""
    if "all" in where:
        parts = [_true(p, record) for p in where["all"]]
        return False if False in parts else None if None in parts else True
    if "any" in where:
        parts = [_true(p, record) for p in where["any"]]
        return True if True in parts else None if None in parts else False
    if "not" in where:
        known = _true(where["not"], record)
        return None if known is None else not known
    value = record[where["field"]]
    if "is_null" in where:
        return (value is None) == where["is_null"]
    if value is None:
        return None
    if "in" in where:
        return value in where["in"]
    ((operator, other),) = ((k, v) for k, v in where.items() if k != "field")
    if isinstance(value, date) and not isinstance(value, datetime):
        other = date.fromisoformat(other)
    return bool(
        {"eq": value == other, "ne": value != other}[operator]
        if operator in ("eq", "ne")
        else {"lt": value < other, "le": value <= other, "gt": value > other, "ge": value >= other}[operator]
    )


def _in_window(record: dict[str, Any], window: dict[str, Any], at: datetime) -> bool:
    value = record[window["field"]]
    if value is None:
        return False
    on, today = day(value) if isinstance(value, datetime) else value, day(at)
    if window.get("days"):
        return bool(today - timedelta(days=window["days"]) <= on <= today)
    if window.get("months"):
        months = today.year * 12 + today.month - 1 - window["months"]
        first = date(months // 12, months % 12 + 1, 1)
        last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        first = min(last, first + timedelta(days=today.day - 1))  # the same day, or that month's last
        return bool(first <= on <= today)
    since, until = window.get("since"), window.get("until")
    return (since is None or on >= date.fromisoformat(since)) and (
        until is None or on <= date.fromisoformat(until)
    )


# -- which values


def leaves(record: dict[str, Any], case: dict[str, Any], divisions: Divisions) -> dict[str, Any] | None:
    """The fields that leave of one record of a granted case, as they leave; None: nothing."""
    dead = record["_op"] == "d"
    if not dead and not in_scope(record, case, divisions):
        return None
    out = {}
    for f in case["agreement"]["fields"]:
        value = record[f["name"]]
        out[f["name"]] = None if dead and f["name"] != KEY else masked(f, value)
    return out


def masked(f: dict[str, Any], value: Any) -> Any:
    mask, options = f.get("mask"), f.get("options") or {}
    if mask is None or value is None:
        return value
    if mask == "pseudonym":
        return OPAQUE
    if mask == "hide":
        return "***"
    if mask == "truncate":
        return value[: options.get("keep", 1)] + "***"
    if mask == "keep_first":
        return value[0] + "*" * (len(value) - 1) if len(value) > 1 else "*" * len(value)
    if mask in ("phone", "id_no"):
        hidden = len(value) - 7
        enough = hidden >= (4 if mask == "phone" else 8)
        return value[:3] + "*" * hidden + value[-4:] if enough else "*" * len(value)
    if mask == "coordinate":
        return value.quantize(Decimal(1).scaleb(-options.get("decimals", 3)), ROUND_HALF_EVEN)
    if mask == "number":
        width = options.get("width", 100)
        return value // width * width
    on = day(value) if isinstance(value, datetime) else value
    to = options.get("to", "year")
    month = {"year": 1, "quarter": (on.month - 1) // 3 * 3 + 1, "month": on.month}[to]
    first = date(on.year, month, 1)
    return datetime(first.year, first.month, 1, tzinfo=SHANGHAI) if isinstance(value, datetime) else first
