"""How long the declarations of a whole country take to check: ``python -m benchmarks.platforms``.

Platforms of the levels, as many as are asked for, a route to each, agreements by class; a check from nothing
and one from the compiled cache, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.home import agreement, entry
from benchmarks.measure import peak_mib
from benchmarks.records import columns
from catalog.agreement import Recipients
from catalog.contract import Contract, Layout, Level
from catalog.declaration import dump, load
from catalog.divisions import Divisions
from catalog.platform import Connector, Platform
from exchange import declarations
from exchange.route import Node, Route
from exchange.settings import ROOT
from mappings.mapping import Mapping

LEVELS: tuple[tuple[str, Level], ...] = (
    ("province", "provincial"),
    ("city", "municipal"),
    ("county", "county"),
)
STANDARD = "standard.key_unit"  # the layout that all follow


def write(home: Path, platforms: int) -> int:
    """A national hub's home with so many platforms; how many files it has."""
    contract, problems = load(ROOT / "catalog/contracts/key_unit.yaml", Contract, root=ROOT)
    assert contract is not None, problems
    names = columns(contract)
    fields = tuple(replace(contract.by_name[n], required=False, code_table=None, when=None,
                           type="string" if contract.by_name[n].type == "code" else contract.by_name[n].type)
                   for n in names)  # fmt: skip
    made: dict[str, Any] = {
        "node": Node(id="national", title="国家枢纽", division="000000"),
        f"catalog/layouts/{STANDARD}": Layout(
            id=STANDARD, title="重点单位接口规范", resource="key_unit", key=(names[0],), fields=fields
        ),
        f"mappings/{STANDARD}": Mapping(
            id=STANDARD, title="重点单位", kind="share", source=contract.id, target=STANDARD, fields={n: n for n in names}
        ),
    }  # fmt: skip
    table = Divisions.load().table.filter(pl.col("valid_to").is_null())
    rows = [
        (f"{level}{code}", kind, code)
        for name, kind in LEVELS
        for level, code in table.filter(level=name).select("level", "code").unique().sort("code").iter_rows()
    ]
    rows += [(f"peer{n}", "peer", f"{11 + n % 50}0000") for n in range(max(0, platforms - len(rows)))]
    for id, kind, code in rows[:platforms]:
        made[f"catalog/platforms/{id}"] = Platform(
            id=id, title=id, level=kind, division=code,
            connector=Connector(kind="database", credential=id, settings={}),
        )  # fmt: skip
        made[f"routes/{id}.key_unit.share"] = Route(
            id=f"{id}.key_unit.share", title=id, platform=id, contract=contract.id,
            direction="across" if kind == "peer" else "down", layout=STANDARD, mapping=STANDARD,
            agreement=f"{kind}.key_unit",
        )  # fmt: skip
    kinds: list[Level] = sorted({kind for _, kind, _ in rows[:platforms]})
    made["catalog/entries/key_unit"] = entry(contract, names, subtree="000000", receivers=tuple(kinds))
    for kind in kinds:
        made[f"catalog/agreements/{kind}.key_unit"] = agreement(
            names, f"{kind}.key_unit", subtree="own", recipients=Recipients(levels=(kind,))
        )
    for name, declaration in made.items():
        path = home / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump(declaration), encoding="utf-8")
    return len(made)


def check(home: Path) -> dict[str, float]:
    """``leishu check`` of the home in a process of its own: seconds, and MiB of the most memory it had."""
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "benchmarks.platforms", "--check", str(home)], check=True,
                          capture_output=True, text=True)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    told: dict[str, float] = json.loads(done.stdout)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.monotonic() - begun, "cpu": spent, **told}


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--platforms", type=int, default=3400)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--check", type=Path)
    given = options.parse_args()
    if given.check:
        found = declarations.read(given.check)
        assert not found.problems, found.problems[0]
        print(json.dumps({"routes": len(found.ways), "mib": peak_mib()}))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        print(f"{given.platforms} platforms, {write(home, given.platforms)} files")
        for _ in range(given.runs):
            shutil.rmtree(home / "var", ignore_errors=True)
            for name in ("cold", "compiled"):
                told = check(home)
                print(
                    f"  {name:9} {told['wall']:6.2f} s wall {told['cpu']:6.2f} s cpu {told['mib']:5.0f} MiB, {told['routes']} routes"
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
