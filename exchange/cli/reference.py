"""The reference of what ships, made from it: ``python -m exchange.cli.reference [--check]``.

``docs/reference/contracts.md`` has every contract, field and code table; ``docs/reference/declarations/`` the
JSON Schemas of all declarations, for editors.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from catalog.agreement import Agreement
from catalog.authority import Authority
from catalog.clock import Clock
from catalog.codes import CodeTables
from catalog.contract import Contract, Layout, ordered
from catalog.declaration import json_schema
from catalog.entry import Entry
from catalog.interchange.fieldtable import TYPES
from catalog.platform import Platform
from catalog.shape import Field
from exchange.homefiles import HomeFiles
from exchange.notice import Subscription
from exchange.route import Node, Route
from exchange.settings import ROOT
from mappings.mapping import Mapping as MappingSpec
from quality.audit import Audit
from quality.coverage import Denominator
from quality.scheme import Scheme
from quality.scorecard import Weights
from quality.suite import load as load_suite
from quality.trend import Baseline

FOLDER = ROOT / "docs" / "reference"
KINDS: dict[str, type] = {
    "node": Node, "platform": Platform, "contract": Contract, "layout": Layout, "entry": Entry,
    "agreement": Agreement, "mapping": MappingSpec, "route": Route, "clock": Clock, "authority": Authority,
    "audit": Audit, "scheme": Scheme, "weights": Weights, "baseline": Baseline,
    "notice": Subscription,
    "denominator": Denominator,
}  # fmt: skip
_TABLE = re.compile(r"CT_[A-Z_]+")
_HEAD = """\
# 数据标准 · Contracts

由项目自带的数据标准、代码表和规则集生成：`make docs`。要改请改 `catalog/contracts/`、`catalog/codes/`，怎样写见[写一份数据标准](../howto/write-a-contract.md)。
*Made from the contracts, code tables and suites that ship. Change those, then run the command again; see [how to write a contract](../howto/write-a-contract.md).*

**约束 · Obligation.** 主键 key · 必填 required · 条件 conditional · 选填 optional。有条件的必填不写在数据标准里：能由一条记录判断的，是规则集里带条件的非空规则（列在各表之下）；判断不了的，写在说明里。*A conditional obligation is a rule of the suite, listed under each table, where one record can tell; else the note says it.*

**敏感级别 · Class.** L0 可公开 publishable · L1 政府内部 internal · L2 个人或商业信息，横向脱敏 personal or commercial · L3 证件号码、轨迹，逐值密封 sealed value by value.

**出处 · Source.** S 加编号为公开来源，M 待核，A 待确认的假设。*S: a public source. M: to be verified. A: an assumption.*

## 公共信息项 · The envelope

每条记录都带的信息项，有的是数据标准的信息项，有的由枢纽随记录携带，不占数据标准的位置。*What every record carries: as fields of each contract, or beside them, kept by the hub.*

| 信息项 | Item | 在哪里 | Where |
|---|---|---|---|
| 记录唯一标识 `record_uid` | record's name | 归集库：数据标准与业务主键的 HMAC-SM3 | the register: HMAC-SM3 of contract and key |
| 前置库主键、批次号、操作类型、来源、入库时间 `cd_id` `cd_batch` `cd_operation` `cd_source` `cd_time` | the front-end table's columns | 连接器 `front_end` 读写；批次号由枢纽给 | the `front_end` connector; the hub gives the batch's number |
| 数据来源单位及代码 `src_org_name` `src_org_uscc` | providing body | 各数据标准的信息项 | fields of each contract |
| 来源系统 `src_system` | system of origin | 随记录携带 `_origin` | carried along as `_origin` |
| 版本号 `record_version` | version | 随记录携带 `_version`；对方的版本由接口规范的 `sequence` 读入 | carried along as `_version`; a platform's own by its layout's `sequence` |
| 业务生效时间、源更新时间 `effective_at` `updated_at` | when it took effect, when it changed | 接口规范的 `changed_at`；进归集库的时间在日志里 | the layout's `changed_at`; the ledger has when it was registered |
| 行政区划代码及年份 `division_code` `division_vintage` | division and its year | 各数据标准的信息项 | fields of each contract |
| 记录摘要 `payload_sm3` | digest | 版本与在外副本各存一份 | with each version and holding |
"""


def contracts_page(
    contracts: Mapping[str, Contract], codes: CodeTables, rules: Mapping[str, list[tuple[str, str]]]
) -> str:
    """The page. ``rules``: by contract, (title, English) of the suite's conditional obligations."""
    parts = [
        _HEAD,
        "## 一览 · All\n",
        "| 数据标准 | Contract | 信息项 fields | 主键 key | 引用 refers to |\n|---|---|---|---|---|",
    ]
    order = [c for family in ordered(contracts).values() for c in family]
    for c in (contracts[i] for i in order):
        to = ", ".join(dict.fromkeys(f"[{r.contract}](#{r.contract})" for r in c.references))
        parts.append(
            f"| [{c.title}](#{c.id}) | {c.title_en} `{c.id}` | {len(c.fields)} | {_ticked(c.key)} | {to} |"
        )
    for c in (contracts[i] for i in order):
        parts += ["", *_contract(c, rules.get(c.id, []))]
    parts += ["", "## 代码表 · Code tables", ""]
    for name in sorted(codes.tables):
        parts += [*_codes(name, codes), ""]
    return "\n".join(parts).rstrip("\n") + "\n"


def _contract(c: Contract, rules: list[tuple[str, str]]) -> Iterator[str]:
    yield f'<a id="{c.id}"></a>'
    yield f"## {c.title} · {c.title_en}"
    yield ""
    yield f"`{c.id}` {c.version} · 族 family `{c.family}` · 数源次序 authority {_ticked(c.authority)}"
    yield ""
    yield _cell(c.description)
    yield ""
    yield "| 信息项 | Field | 标识 | 类型 type | 约束 | 代码表 codes | 级别 | 出处 source |"
    yield "|---|---|---|---|---|---|---|---|"
    for f in c.fields:
        yield "| " + " | ".join(_field(f, c)) + " |"
    if c.references:
        yield ""
        yield "引用 · References: " + "; ".join(
            f"`{r.field}` → [{r.contract}](#{r.contract}) `{r.target}`" for r in c.references
        )
    if rules:
        yield ""
        yield "条件必填 · Conditional:"
        yield ""
        for zh, en in rules:
            yield f"- {zh} *{en}*"


def _field(f: Field, c: Contract) -> list[str]:
    size = f" {f.precision},{f.scale}" if f.type == "decimal" else "" if f.length is None else f" ≤{f.length}"
    must = "主键 key" if f.name in c.key else "必填" if f.required else "选填"
    tables = dict.fromkeys(t for t in (f.code_table, *_TABLE.findall(f.source)) if t)
    return [f.title, f.title_en, f"`{f.name}`", f"{TYPES[f.type][0]} `{f.type}`{size}", must,
            ", ".join(f"[{t}](#{t})" for t in tables), f.sensitivity, _cell(f.source)]  # fmt: skip


def _codes(name: str, codes: CodeTables) -> Iterator[str]:
    yield f'<a id="{name}"></a>'
    yield f"### {name}"
    yield ""
    yield "| 编码方案 scheme | 版本 | 代码 code | 名称 title | 起 from | 止 to | 本表代码 canonical | 出处 source |"
    yield "|---|---|---|---|---|---|---|---|"
    for c in codes.tables[name]:
        yield "| " + " | ".join((c.scheme, c.version, f"`{c.code}`", _cell(c.title), str(c.valid_from or ""), str(c.valid_to or ""), c.canonical, _cell(c.source))) + " |"  # fmt: skip


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ").strip()


def _ticked(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{w}`" for w in words)


def _rules(contract: str) -> list[tuple[str, str]]:
    """The suite's obligations that hold under a condition."""
    suite, _ = load_suite(ROOT / "quality" / "suites" / f"{contract}.json", root=ROOT)
    return [(f"`{e.kwargs['column']}`: {e.title}", e.title_en) for e in (suite.expectations if suite else ())
            if e.type == "expect_column_values_to_not_be_null" and e.condition is not None]  # fmt: skip


def pages() -> dict[str, str]:
    """Path below docs/reference: its text, for everything that is made."""
    contracts = HomeFiles(ROOT).all("contract", Contract, "catalog/contracts")
    codes, _ = CodeTables.load(ROOT / "catalog" / "codes")
    made = {"contracts.md": contracts_page(contracts, codes, {c: _rules(c) for c in contracts})}
    for name, kind in KINDS.items():
        schema = {**json_schema(kind), "title": name}
        made[f"declarations/{name}.json"] = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
    return made


def stale(folder: Path) -> list[str]:
    """Pages that differ from what would be written."""
    return sorted(
        name
        for name, text in pages().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    )


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` only name those that are not up to date (exit code 1)."""
    found = stale(FOLDER)
    for name in found:
        print(name, file=sys.stderr)
    if "--check" in arguments:
        return 1 if found else 0
    made = pages()
    for name in found:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(made[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
