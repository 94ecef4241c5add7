"""A contract printed as the text of a 数据标准: one page of HTML, in the manner of a standard (GB/T 1.1)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path

from catalog import printing
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.declaration import digest
from catalog.interchange.fieldtable import TYPES
from catalog.shape import Field

CLASSES = "CT_SENSITIVITY"
_NUMBER = re.compile(r"(?:GB(?:/T)?|QX/T|DB\d\d/T) ?\d+(?:\.\d+)?(?:-\d{4})?")
_BY_TYPE = {
    "uscc": "GB 32100",
    "id_no": "GB 11643",
    "division": "GB/T 2260",
    "date": "GB/T 7408.1",
    "datetime": "GB/T 7408.1",
}


def rendered(contract: Contract, contracts: Mapping[str, Contract], codes: CodeTables, at: date) -> str:
    """The page; ``at``: the day whose codes stand in it."""
    tables = {
        t: [c for c in codes.tables.get(t, ()) if c.scheme == t and c.holds(at)] for t in _tables(contract)
    }
    return printing.render(
        "standard.html",
        contract=contract,
        norms=list(_norms(contract)),
        classes=[(code, title) for code, title in codes.titles(CLASSES).items()],
        fields=[_row(i, f, contract) for i, f in enumerate(contract.fields, 1)],
        tables=tables,
        leads=[(r.field, r.contract, r.target, _titled(contracts, r.contract)) for r in contract.references],
        led=[(c.id, c.title, r.field, r.target) for c in contracts.values() for r in c.references if r.contract == contract.id],
        levels=" → ".join(contract.authority) or "—",
        digest=digest(contract),
        at=at.isoformat(),
    )  # fmt: skip


def _tables(contract: Contract) -> list[str]:
    """The code tables of its fields, those too whose values stand in a field of several."""
    return list(
        dict.fromkeys(
            t for f in contract.fields for t in (f.code_table, *re.findall(r"CT_[A-Z_]+", f.source)) if t
        )
    )


def _titled(contracts: Mapping[str, Contract], id: str) -> str:
    return contracts[id].title if id in contracts else ""


def _norms(contract: Contract) -> Iterator[tuple[str, str]]:
    """(number, title) of the standards that its fields name or follow by their type."""
    titles = _standards()
    named = {n for f in contract.fields for n in (*_NUMBER.findall(f.source), _BY_TYPE.get(f.type, "")) if n}
    for number in sorted(named):
        yield number, titles.get(number, titles.get(number.partition("-")[0], ""))


@cache
def _standards() -> dict[str, str]:
    with (Path(printing.__file__).parent / "standards.csv").open(encoding="utf-8", newline="") as stream:
        return {row["number"]: row["title"] for row in csv.DictReader(stream)}


def _row(number: int, field: Field, contract: Contract) -> tuple[str, ...]:
    size = (
        f"{field.precision},{field.scale}"
        if field.type == "decimal"
        else ""
        if field.length is None
        else f"≤{field.length}"
    )
    must = "主键" if field.name in contract.key else "必填" if field.required else "选填"
    kind = TYPES[field.type][0] + (f" {size}" if size else "")
    return (
        str(number),
        field.title,
        field.title_en,
        field.name,
        kind,
        must,
        field.code_table or "",
        field.sensitivity,
        field.source,
    )
