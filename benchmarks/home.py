"""A home of its own for a measurement: platforms that enter, one that is sent to, one contract."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from benchmarks.records import STATUS, TABLE, columns
from catalog.agreement import AgreedField, Agreement, Approval, RowScope
from catalog.contract import Contract, Layout
from catalog.declaration import dump
from catalog.entry import Channel, Entry, EntryField, Process, Scope
from catalog.platform import Connector, Platform
from catalog.shape import Field
from exchange.route import Node, Route
from mappings.mapping import Expression, Mapping

MASKS = {"safety_contact_name": "keep_first"}
COLLECT, SHARE = "source.key_unit.collect", "target.key_unit.share"  # where there is one source
CODES = "platform_unit_status"


def collects(source: str) -> str:
    """The route that collects from that platform."""
    return f"{source}.key_unit.collect"


def write(
    home: Path, contract: Contract, urls: dict[str, str], *, sources: tuple[str, ...] = ("source",),
    changed_at: str | None = None,
) -> None:  # fmt: skip
    """Declarations of the contract from ``sources`` to the platform ``target``, and their credentials.

    ``changed_at``: the sources' field that tells when a row was changed; without one nothing is read by day.
    """
    names = columns(contract)
    made: dict[str, Any] = {"node": Node(id="bench", title="测试枢纽", division="330000")}
    for platform in (*sources, "target"):
        level = "national" if platform == "target" else "municipal"
        connector = Connector(kind="database", credential=platform, settings={"statement_seconds": 3600})
        made[f"catalog/platforms/{platform}"] = Platform(
            id=platform, title=platform, level=level, division="330600", connector=connector
        )  # type: ignore[arg-type]
        _credential(home, platform, urls[platform])
        layout = f"{platform}.key_unit.{'in' if platform == 'target' else 'out'}"
        made[f"catalog/layouts/{layout}"] = _layout(
            layout, platform, contract, names, None if platform == "target" else changed_at
        )
        made[f"mappings/{layout}"] = _mapping(layout, contract, names)
    made["catalog/entries/key_unit"] = entry(contract, names, subtree="330000", receivers=("target",))
    made["catalog/agreements/target.key_unit"] = agreement(
        names, "target.key_unit", subtree="330000", recipient="target"
    )
    made |= _routes(contract, sources)
    for name, declaration in made.items():
        path = home / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump(declaration), encoding="utf-8")
    table = home / "mappings/codes" / f"{CODES}.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"platform,{word},{code},{word}" for code, word in STATUS.items()]
    table.write_text("\n".join(["scheme,code,canonical,title", *lines, ""]), encoding="utf-8")


def _layout(id: str, platform: str, contract: Contract, names: list[str], changed_at: str | None) -> Layout:
    """The contract's fields as a platform's columns: its codes are text of its own."""
    kept = ("integer", "decimal", "boolean", "date", "datetime")
    fields = [
        Field(name=f.name, title=f.title, type=f.type if f.type in kept else "string", length=f.length,
              precision=f.precision, scale=f.scale)
        for f in (contract.by_name[n] for n in names)
    ]  # fmt: skip
    own = Field(name="id", title="平台主键", length=40)
    return Layout(
        id=id, title=id, platform=platform, resource=TABLE, key=("id",), fields=(own, *fields), changed_at=changed_at
    )  # fmt: skip


def _mapping(id: str, contract: Contract, names: list[str]) -> Mapping:
    fields: dict[str, Expression | str] = {n: n for n in names}
    fields["unit_status"] = Expression(from_="unit_status", code=CODES)
    if id.endswith(".out"):
        return Mapping(id=id, title=id, kind="collect", source=id, target=contract.id, fields=fields)
    return Mapping(id=id, title=id, kind="share", source=contract.id, target=id, fields=fields)


def entry(contract: Contract, names: list[str], *, subtree: str, receivers: tuple[str, ...]) -> Entry:
    """The contract in the catalog, each of the named fields shared on terms."""
    return Entry(
        id="key_unit", code="307015050030/0001", version="1.0", state="3", title="重点单位", category="测试",
        provider="测试", provider_uscc="11330000024820716Q", summary="测试", format="库表",
        share_type="conditional", share_condition="测试", reason="1", open_type="3", cycle="2",
        published_at=date(2025, 1, 1), scope=Scope(receivers=receivers, subtree=subtree),
        process=Process(apply="apply", approver="测试"), channel=Channel(net="1"), method=("TABLE",),
        contract=contract.id, fields=tuple(EntryField(name=n, share_type="conditional") for n in names),
    )  # fmt: skip


def agreement(names: list[str], id: str, *, subtree: str, **to: Any) -> Agreement:
    """Leave for a recipient, or a class of them, to have the named fields."""
    return Agreement(
        id=id, entry="key_unit", **to, purpose="测试", legal_basis="测试",
        fields=tuple(AgreedField(name=n, mask=MASKS.get(n)) for n in names), scope=RowScope(subtree=subtree),
        valid_from=date(2020, 1, 1), valid_to=date(2099, 12, 31),
        approval=Approval(number="1", by="测试", on=date(2020, 1, 1)),
    )  # fmt: skip


def _routes(contract: Contract, sources: tuple[str, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for source in sources:
        id, out = collects(source), f"{source}.key_unit.out"
        made[f"routes/{id}"] = Route(
            id=id, title=id, platform=source, contract=contract.id, direction="collect",
            layout=out, mapping=out, suite="key_unit", subtree="330000",
        )  # fmt: skip
    share = Route(
        id=SHARE, title=SHARE, platform="target", contract=contract.id, direction="up",
        layout="target.key_unit.in", mapping="target.key_unit.in", agreement="target.key_unit",
    )  # fmt: skip
    return {**made, f"routes/{SHARE}": share}


def _credential(home: Path, name: str, url: str) -> None:
    parts = urlsplit(url)
    extra = {
        "host": parts.hostname or "127.0.0.1",
        "port": str(parts.port or 5432),
        "database": parts.path[1:],
    }
    secret = {
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "extra": extra,
    }
    path = home / "var/credentials" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(secret), encoding="utf-8")
