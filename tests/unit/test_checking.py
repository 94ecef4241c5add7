"""``leishu catalog check``: single files against a home, and documents by cell, without a database."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange import declarations
from exchange.checking import PLACES, checked
from exchange.cli import main
from exchange.homefiles import HomeFiles
from exchange.settings import ROOT

AT = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's declarations, where nothing but them is."""
    made = tmp_path_factory.mktemp("checking") / "home"
    for name in ("catalog", "mappings", "routes", "quality"):
        if (ROOT / "demo" / name).is_dir():
            shutil.copytree(ROOT / "demo" / name, made / name)
    shutil.copy(ROOT / "demo" / "node.yaml", made)
    return made


def found(home: Path, *files: Path) -> list[tuple[str, int, str]]:
    return [(Path(p.file).name, p.line, p.en) for p in checked(home, files, AT)]


def edited(home: Path, tmp_path: Path, place: str, old: str, new: str) -> Path:
    text = (home / place).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / Path(place).name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return tmp_path / Path(place).name


def test_the_home_and_each_of_its_declarations_are_sound(home: Path) -> None:
    assert found(home) == []
    files = [p for place in PLACES for p in sorted((home / place).glob("*.yaml"))[:1]]
    files += [ROOT / "catalog/codes/CT_SHARE.csv", ROOT / "catalog/contracts/hazard.yaml",
              ROOT / "catalog/calendars/cn.csv", *sorted((home / "mappings/codes").glob("*.csv"))[:1]]  # fmt: skip
    assert len(files) >= 9
    assert found(home, *files) == []


def test_every_kind_of_declaration_that_a_home_has_can_be_checked_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, type] = {}
    whole, over = HomeFiles.all, HomeFiles.over

    def noted(r: HomeFiles, kind: str, type_: type, folder: str, **named: Any) -> Any:
        seen[folder] = type_
        return whole(r, kind, type_, folder, **named)

    def noted_over(r: HomeFiles, kind: str, type_: type, shipped: str, own: str) -> Any:
        seen[own] = type_
        return over(r, kind, type_, shipped, own)

    monkeypatch.setattr(HomeFiles, "all", noted)
    monkeypatch.setattr(HomeFiles, "over", noted_over)
    declarations.read(home)
    assert seen == PLACES


@pytest.mark.parametrize("place, old, new, line, words", [
    ("catalog/entries/key_unit.yaml", "share_type: conditional", "share_type: open", "share_type: open", "no share type of scheme leishu"),
    ("catalog/entries/key_unit.yaml", "{name: uscc,", "{classified: true, name: uscc,", "{classified", "classified field uscc"),
    ("catalog/entries/key_unit.yaml", "{name: uscc, share_type: unconditional", "{name: uscc, share_type: none", "name: uscc", "needs a legal_basis"),
    ("catalog/entries/key_unit.yaml", "id: key_unit", "id: key_unit\nstrange: 1", "strange", "unknown key: strange"),
    ("catalog/agreements/national.key_unit.yaml", "recipient: national", "recipient: nowhere", "recipient: nowhere", "nowhere"),
    ("catalog/platforms/deqing.yaml", "kind: sftp", "kind: pigeon", "connector:", "pigeon"),
])  # fmt: skip
def test_a_file_beside_the_home_is_checked_as_if_it_lay_there(
    home: Path, tmp_path: Path, place: str, old: str, new: str, line: str, words: str
) -> None:
    file = edited(home, tmp_path, place, old, new)
    at = next(i for i, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if line in text)
    own = [(n, en) for name, n, en in found(home, file) if name == file.name and str(file) in
           {p.file for p in checked(home, [file], AT)}]  # fmt: skip
    assert [n for n, en in own if words in en] == [at]
    assert found(home) == []  # the home was read, and nothing else


def test_what_a_file_would_break_elsewhere_is_told(home: Path, tmp_path: Path) -> None:
    file = edited(home, tmp_path, "catalog/entries/key_unit.yaml", "- {name: lon,", "- {name: lat,")
    broken = found(home, file)
    assert any(name == "key_unit.yaml" and "twice: lat" in en for name, _, en in broken)
    assert any(name == "national.key_unit.yaml" for name, _, en in broken)


@pytest.mark.parametrize("name, content, place, words", [
    ("CT_X.csv", "scheme,version,code,title,valid_from,valid_to,canonical,source\nCT_X,1,a,甲,,,,A\nCT_X,1,a,乙,,,,A\n", 3, "stands twice"),
    ("list.csv", "信息资源名称,信息资源代码,共享类型,更新周期,发布日期\n甲,3/x,有条件共享,每日,2025-01-01\n", 2, "cell B2"),
    ("map.csv", "scheme,code,canonical\n", 1, "the header must be"),
    ("note.txt", "早上好", 0, "neither a declaration"),
    ("note.yaml", "好: 1\n", 0, "neither a declaration"),
    ("none.yaml", None, 0, "cannot read"),
])  # fmt: skip
def test_documents_and_tables_by_line_and_cell(
    home: Path, tmp_path: Path, name: str, content: str | None, place: int, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    ((file, line, en),) = found(home, tmp_path / name)
    assert (file, line) == (name, place)
    assert words in en


def test_at_the_command_line_a_problem_is_exit_code_one(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEISHU_LANG", "en")
    monkeypatch.setenv("LEISHU_HOME", str(home))
    file = edited(home, tmp_path, "catalog/entries/key_unit.yaml", 'state: "3"', 'state: "9"')
    assert main(["catalog", "check", str(file)]) == 1
    assert f"{file}:5: no code of CT_CAT_STATE" in capsys.readouterr().out
    assert main(["catalog", "check", str(file), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["line"] == 5
    assert main(["catalog", "check"]) == 0
