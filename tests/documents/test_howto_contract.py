"""docs/howto/write-a-contract.md: its example is what ships, its files make a sound home, its problems are real."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from exchange import declarations
from exchange.settings import ROOT

PAGE = (ROOT / "docs/howto/write-a-contract.md").read_text(encoding="utf-8")
SHIPPED = ROOT / "catalog/contracts/balloon_release.yaml"


def test_the_example_is_the_contract_that_ships() -> None:
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    before = PAGE.split("## 4.")[0]
    shown = [line for block in re.findall(r"```yaml\n(.*?)```", before, re.S) for line in block.splitlines()]
    assert len(shown) > 12
    assert [line for line in shown if line not in lines] == []
    table = re.search(r"```csv\n(.*?)```", PAGE, re.S)
    assert table is not None
    assert table.group(1) == (ROOT / "catalog/codes/CT_BALLOON_KIND.csv").read_text(encoding="utf-8")


def test_its_files_make_a_route_that_runs(tmp_path: Path) -> None:
    shutil.copy(ROOT / "demo/node.yaml", tmp_path)
    platform = (ROOT / "docs/howto/register-a-platform.md").read_text(encoding="utf-8").split("## 2.")[0]
    files = re.findall(r"^`([a-z/_.]+\.yaml)`\n\n```yaml\n(.*?)```", platform + PAGE, re.S | re.M)
    assert len(files) == 4
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    made = declarations.read(tmp_path)
    assert made.problems == ()
    assert made.way("xinchang.balloon_release.collect").contract.id == "balloon_release"


def test_its_problems_are_those_that_are_told(tmp_path: Path) -> None:
    shutil.copy(ROOT / "demo/node.yaml", tmp_path)
    (tmp_path / "catalog/contracts").mkdir(parents=True)
    start = SHIPPED.read_text(encoding="utf-8")
    head = (
        "id: {}\ntitle: x\ntitle_en: x\nversion: 1.0.0\nfamily: x\nauthority: []\nkey: [permit_no]\nfields:\n"
    )
    fields = [
        line for line in start.splitlines() if re.search("name: (permit_no|balloon_kind|division_code)", line)
    ]
    first, kind, division = (
        next(f for f in fields if n in f) for n in ("permit_no", "balloon_kind", "division_code")
    )
    for id, lines in (
        ("kite_permit", [first, kind.replace("BALLOON", "KITE"), division]),
        ("kite_release", [first.replace("length", "lenght"), kind, division]),
    ):
        text = head.format(id) + "\n".join(lines) + "\n"
        (tmp_path / f"catalog/contracts/{id}.yaml").write_text(text, encoding="utf-8")
    told = [f"{p.file}:{p.line}: {p.zh}" for p in declarations.read(tmp_path).problems]
    shown = re.search(r"```\n(catalog/contracts/kite.*?)\n```", PAGE, re.S)
    assert shown is not None
    assert told == shown.group(1).splitlines()
