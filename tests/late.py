"""A site that answers late: what it says of each row is set by the test, and its answers repeat themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from connectors.seam import RECEIPT_ROWS, Payload, Receipt
from tests import sites
from tests.sites import Site

NATION = f"nation.{sites.CONTRACT}.share"
COUNTY = f"county.{sites.CONTRACT}.collect"
Said = tuple[int, str | None, str, str | None]  # row, field, code, words


def rows(said: Sequence[Said]) -> pa.RecordBatch:
    """Receipt rows."""
    return pa.RecordBatch.from_pylist(
        [{"row": r, "field": f, "code": c, "words": w, "foreign_key": None} for r, f, c, w in said],
        schema=RECEIPT_ROWS,
    )


@dataclass(kw_only=True)
class LateSite(Site):
    """The platform; ``says`` is what it answers, by idempotency key."""

    others: Literal["1", "3"] = "3"
    at_once: list[Said] = field(default_factory=list)
    says: dict[str, Receipt] = field(default_factory=dict)
    asked: int = 0

    def source(self, layout: Any) -> Any:
        return _LateDoor(self, layout)

    sink = source


class _LateDoor(sites._Door):
    site: LateSite

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        if key not in self.site.receipts:
            super().deliver(payload, key=key)
            self.site.says[key] = Receipt(
                key=key,
                reference=f"R-{key}",
                others=self.site.others,
                rows=rows(self.site.at_once),
                at=payload.at,
            )
        return self.site.says[key]

    def ask(self, receipt: Receipt) -> Receipt:
        self.site.asked += 1
        return self.site.says[receipt.key]


def query(url: str, statement: str, *values: Any) -> list[dict[str, Any]]:
    """Rows of the hub's own database, past the hub."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute(statement.encode(), values or None).fetchall()


def derived(url: str, batch: int) -> dict[int, str]:
    """Each row's state from the append-only receipts alone: the last final word about the row itself, else
    about its batch, else it waits."""
    kinds = {"1": "accepted", "2": "refused", "4": "refused", "9": "refused"}
    found = query(url, "SELECT row, uid::text AS uid FROM leishu.movements WHERE batch = %s", batch)
    told = query(
        url,
        "SELECT uid::text AS uid, field, code, way FROM leishu.receipts WHERE batch = %s ORDER BY id",
        batch,
    )
    whole = "sent"
    own: dict[str, str] = {}
    at_once = {t["uid"] for t in told if t["way"] == "answer" and t["code"] in ("2", "4", "9")}
    for t in told:
        kind = kinds.get(t["code"])
        if t["uid"] is None:
            whole = kind or whole
        elif kind and not (kind == "accepted" and t["uid"] in at_once):
            own[t["uid"]] = kind
    return {r["row"]: own.get(r["uid"], whole) for r in found}
