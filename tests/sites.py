"""Platforms that live in the test: small, exact, with the habits of real ones; and a home that declares them.

A site keeps records under keys of its own, gives out each change, takes in what it is sent once for each
idempotency key, and may show what it was sent among its own changes again (``echo``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import Unavailable
from connectors.counting import Listed
from connectors.peer import Peer, closed
from connectors.registry import Kind, Registry
from connectors.rows import said, sent_columns, stream_schema
from connectors.seam import REFUSED, Census, Extraction, Part, Payload, Receipt, Slice, Step
from tests import entries

CONTRACT = "thing"
COLUMNS = ("code", "division_code", "name", "contact")
SITES = {  # level, division, whether it shows again what it was sent
    "county": ("county", "330683", False),
    "city": ("municipal", "330600", True),
    "nation": ("national", "000000", True),
}
Values = dict[str, str | None]


@dataclass(kw_only=True)
class Site:
    """One platform."""

    name: str
    echo: bool
    records: dict[str, Values] = field(default_factory=dict)  # by its own key
    feed: list[dict[str, Any]] = field(default_factory=list)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    writes: int = 0  # rows of others that changed something here
    down: bool = False
    refuses: str = ""  # operations that it refuses, of i, u and d
    late: bool = False  # it takes things in at once and says so later
    announces: int | None = None  # rows that it says there are
    loses: bool = False  # it takes things in, and its answer is lost on the way
    writes_as: dict[str, Callable[[str], str]] = field(default_factory=dict)  # its own way with a column

    def key(self, code: str) -> str | None:
        """Its own key of the record with this code."""
        return next((k for k, r in self.records.items() if r["code"] == code), None)

    def enter(self, values: Values) -> None:
        key = f"{self.name}-{values['code']}"
        self.records[key] = dict(values)
        self._tell(key, "i")

    def edit(self, key: str, **values: str | None) -> None:
        self.records[key].update(values)
        self._tell(key, "u")

    def remove(self, key: str) -> None:
        del self.records[key]
        self._tell(key, "d")

    def take(self, payload: Payload, names: list[str]) -> list[int]:
        """The rows that it refused."""
        refused: list[int] = []
        for batch in payload.batches():
            for row in batch.to_pylist():
                key = row[envelope.KEY]
                if key not in self.records and row.get("code"):
                    key = self.key(row["code"]) or key  # it has the thing already, under a key of its own
                if row[envelope.OP] in self.refuses:
                    refused.append(row[envelope.ROW])
                    continue
                before = self.records.get(key)
                if row[envelope.OP] == envelope.DELETE:
                    changed, own_way = self.records.pop(key, None) is not None, False
                else:
                    values = {n: row[n] for n in names if n != "key"}
                    written = {n: way(values[n]) for n, way in self.writes_as.items() if values.get(n)}
                    own_way, values = {**values, **written} != values, {**values, **written}
                    after = {**dict.fromkeys(COLUMNS), **(before or {}), **values}
                    self.records[key] = after
                    changed = after != before
                self.writes += changed
                if (changed or own_way) and self.echo:
                    self._tell(key, row[envelope.OP])
        return refused

    def _tell(self, key: str, op: str) -> None:
        own = {
            envelope.KEY: key,
            envelope.OP: op,
            envelope.VERSION: None,
            envelope.ORIGIN: None,
            envelope.HOPS: 0,
        }
        self.feed.append({**dict.fromkeys(COLUMNS), **self.records.get(key, {}), "key": key, **own})

    # -- what the hub sees of it

    def source(self, layout: Layout) -> _Door:
        return _Door(self, layout)

    sink = source

    def census(self, layout: Layout, columns: Sequence[str]) -> Census:
        names = [n for n in columns if n != "key"]

        def read() -> tuple[pa.Array, dict[str, pa.Array]]:
            rows = self.records.values()
            return pa.array(list(self.records), pa.string()), {
                n: pa.array([r.get(n) for r in rows], pa.string()) for n in names
            }

        return Listed(names, read)

    def test(self) -> list[Step]:
        return [Step(name="在", name_en="there", ok=True)]

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class _Door:
    site: Site
    layout: Layout

    def extract(self, slice: Slice) -> Extraction:
        start = int(slice.cursor or 0)
        rows = self.site.feed[start : start + slice.limit]
        end = start + len(rows)
        schema = stream_schema(self.layout)

        def batches() -> Iterator[pa.RecordBatch]:
            if rows:
                yield pa.RecordBatch.from_pylist(rows, schema=schema)

        return Extraction(
            batches=batches(),
            cursor=lambda: str(end) if rows else slice.cursor,
            more=lambda: end < len(self.site.feed),
            ordered=True,
            announced=self.site.announces,
        )

    def reread(self, part: Part, *, batch_rows: int = 50_000) -> Extraction:
        if self.site.down:
            raise Unavailable("不在", "it is down")
        own = {envelope.OP: "u", envelope.VERSION: None, envelope.ORIGIN: None, envelope.HOPS: 0}
        rows = [
            {**dict.fromkeys(COLUMNS), **r, "key": k, envelope.KEY: k, **own}
            for k, r in self.site.records.items()
            if (part.keys is None or k in part.keys)
            and (part.column is None or str(r.get(part.column) or "").startswith(part.begins))
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=stream_schema(self.layout))
        return Extraction(
            batches=iter([batch] if rows else []), cursor=lambda: None, more=lambda: False, ordered=False
        )

    def acknowledge(self, cursor: str) -> None:
        """It keeps nothing for the hub."""

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        if self.site.down:
            raise Unavailable(f"{self.site.name} 没有应答", f"{self.site.name} does not answer")
        if key not in self.site.receipts:
            refused = pa.array(self.site.take(payload, sent_columns(payload, self.layout)), pa.int64())
            self.site.receipts[key] = Receipt(
                key=key, reference=key, others="1", rows=said(refused, REFUSED, "不收"), at=payload.at
            )
        if self.site.loses:
            raise Unavailable(f"{self.site.name} 断线", f"{self.site.name} broke off")
        return (
            replace(self.site.receipts[key], others="3", rows=said(pa.array([], pa.int64()), ""))
            if self.site.late
            else self.site.receipts[key]
        )

    def ask(self, receipt: Receipt) -> Receipt:
        return receipt if self.site.late else self.site.receipts[receipt.key]


class Sites(Registry):
    """A registry whose one kind opens these sites."""

    def __init__(self, sites: Mapping[str, Site]) -> None:
        super().__init__({"site": ""})
        self.sites = sites

    def kind(self, name: str) -> Kind:
        return Kind(name="site", title="场", title_en="site", settings_schema=closed({}), open=self._open)

    def _open(self, peer: Peer) -> Site:
        return self.sites[peer.platform]


def fresh() -> dict[str, Site]:
    return {name: Site(name=name, echo=echo) for name, (_, _, echo) in SITES.items()}


def home(folder: Path) -> Path:
    """A home with one contract and the three sites; the nation has contacts masked."""

    def write(path: str, what: dict[str, Any]) -> None:
        made = folder / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(yaml.safe_dump(what, allow_unicode=True, sort_keys=False), encoding="utf-8")

    text = {"type": "string", "length": 60, "sensitivity": "L1"}
    write("node.yaml", {"id": "zhejiang", "title": "浙江省", "division": "330000"})
    write(f"catalog/contracts/{CONTRACT}.yaml", {
        "id": CONTRACT, "title": "物", "title_en": "Thing", "version": "1.0.0", "family": "things",
        "authority": ["national", "municipal", "county"], "key": ["code"],
        "fields": [
            {"name": "code", "title": "编号", "title_en": "Code", "required": True, **text},
            {"name": "division_code", "title": "行政区划代码", "title_en": "Division", "type": "division", "length": 6,
             "required": True, "sensitivity": "L0"},
            {"name": "name", "title": "名称", "title_en": "Name", **text},
            {"name": "contact", "title": "联系人", "title_en": "Contact", **text, "sensitivity": "L2"},
        ],
    })  # fmt: skip
    write(f"catalog/entries/{CONTRACT}.yaml", {
        "id": CONTRACT, **entries.DECLARED, "contract": CONTRACT,
        "fields": [{"name": c, "share_type": "conditional"} for c in COLUMNS],
    })  # fmt: skip
    suite = folder / "quality" / f"{CONTRACT}.json"
    suite.parent.mkdir()
    suite.write_text(
        '{"name": "thing", "expectations": [{"type": "expect_column_values_to_be_unique", "kwargs": {"column": "code"},'
        ' "meta": {"leishu": {"severity": "error", "title": "编号重复", "title_en": "twice"}}}], "meta": {}}',
        encoding="utf-8",
    )
    for name, (level, division, _) in SITES.items():
        id = f"{name}.{CONTRACT}"
        write(f"catalog/platforms/{name}.yaml", {
            "id": name, "title": name, "level": level, "division": division, "connector": {"kind": "site"},
        })  # fmt: skip
        for way in ("out", "in"):
            write(f"catalog/layouts/{id}.{way}.yaml", {
                "id": f"{id}.{way}", "title": id, "platform": name, "resource": "things", "key": ["key"],
                "fields": [{"name": n, "title": n} for n in ("key", *COLUMNS)],
            })  # fmt: skip
        back = [c for c in COLUMNS if name != "nation" or c != "contact"]
        write(f"mappings/{id}.out.yaml", {
            "id": f"{id}.out", "title": id, "kind": "collect", "source": f"{id}.out", "target": CONTRACT,
            "partial": True, "fields": {c: c for c in back},
        })  # fmt: skip
        write(f"mappings/{id}.in.yaml", {
            "id": f"{id}.in", "title": id, "kind": "share", "source": CONTRACT, "target": f"{id}.in",
            "fields": {c: c for c in COLUMNS},
        })  # fmt: skip
        masked = {"mask": "keep_first"} if name == "nation" else {}
        write(f"catalog/agreements/{id}.yaml", {
            "id": id, "entry": CONTRACT, "recipient": name, "purpose": "监管", "legal_basis": "办法",
            "scope": {"subtree": division}, "valid_from": "2025-01-01", "valid_to": "2099-12-31",
            "approval": {"number": "1", "by": "局", "on": "2025-01-01"},
            "fields": [{"name": c, **(masked if c == "contact" else {})} for c in COLUMNS],
        })  # fmt: skip
        write(f"routes/{id}.collect.yaml", {
            "id": f"{id}.collect", "title": id, "platform": name, "contract": CONTRACT, "direction": "collect",
            "layout": f"{id}.out", "mapping": f"{id}.out", "suite": CONTRACT, "subtree": division, "every": 1,
        })  # fmt: skip
        write(f"routes/{id}.share.yaml", {
            "id": f"{id}.share", "title": id, "platform": name, "contract": CONTRACT,
            "direction": "up" if name == "nation" else "down", "layout": f"{id}.in", "mapping": f"{id}.in",
            "agreement": id, "every": 1,
        })  # fmt: skip
    return folder
