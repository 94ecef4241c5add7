"""``leishu catalog export`` and ``import`` over a home on disk: what is written, and what is left alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog import declaration
from catalog.contract import Contract
from catalog.entry import Entry
from catalog.interchange import odcs
from exchange import documents
from exchange.cli import main, opening
from exchange.declarations import Declarations
from exchange.settings import ROOT
from tests.contracts import SHIPPED

OWN = replace(SHIPPED["hazard"], id="own_hazard", title="本地隐患")


@pytest.fixture(scope="module")
def declared() -> Declarations:
    return opening.declared(ROOT / "demo")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: Declarations) -> Path:
    monkeypatch.setenv("LEISHU_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LEISHU_LANG", "en")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(opening, "declared", lambda home: declared)
    (tmp_path / "home").mkdir()
    (tmp_path / "own.yaml").write_text(odcs.written(OWN), encoding="utf-8")
    return tmp_path / "home"


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_contract_that_is_new_is_shown_and_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "import", "own.yaml", "--check"]) == 0
    shown = capsys.readouterr()
    assert "+title: 本地隐患" in shown.out
    assert not (home / "catalog").exists()
    assert main(["catalog", "import", "own.yaml"]) == 0
    made, problems = declaration.load(home / "catalog/contracts/own_hazard.yaml", Contract, root=home)
    assert (made, problems) == (OWN, [])
    capsys.readouterr()
    assert main(["catalog", "import", "own.yaml", "--json"]) == 0
    assert [d["state"] for d in said(capsys)["documents"][0]["declared"]] == ["same"]


def test_what_stands_there_is_written_over_only_when_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["catalog", "import", "own.yaml"])
    there = home / "catalog/contracts/own_hazard.yaml"
    before = "# a word of ours\n" + there.read_text(encoding="utf-8")
    there.write_text(before, encoding="utf-8")
    assert main(["catalog", "import", "own.yaml"]) == 0  # it says the same: its layout stays
    assert there.read_text(encoding="utf-8") == before
    Path("own.yaml").write_text(odcs.written(replace(OWN, title="又一个名称")), encoding="utf-8")
    capsys.readouterr()
    assert main(["catalog", "import", "own.yaml"]) == 1
    shown = capsys.readouterr()
    assert "-title: 本地隐患" in shown.out
    assert "add --replace" in shown.err
    assert there.read_text(encoding="utf-8") == before
    assert main(["catalog", "import", "own.yaml", "--replace"]) == 0
    assert "又一个名称" in there.read_text(encoding="utf-8")


def test_what_ships_is_never_replaced_from_a_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.yaml").write_text(odcs.written(replace(SHIPPED["hazard"], title="另一个")), encoding="utf-8")
    assert main(["catalog", "import", "own.yaml", "--replace"]) == 1
    assert "not replaced from a home" in capsys.readouterr().err
    assert not (home / "catalog").exists()


def test_a_bad_document_is_refused_with_the_place(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = odcs.written(OWN).replace("version: 1.0.0", "version: 1")
    Path("own.yaml").write_text(text, encoding="utf-8")
    assert main(["catalog", "import", "own.yaml"]) == 1
    assert "own.yaml:5: version: not of ODCS v3.1.0" in capsys.readouterr().out
    Path("own.yaml").write_bytes(b"\xff\xfe\x00")
    assert main(["catalog", "import", "own.yaml", "--json"]) == 1
    assert said(capsys)["documents"][0]["kind"] is None
    assert main(["catalog", "import", "nothing.yaml"]) == 2
    assert main(["catalog", "import", "own.yaml", "--kind", "papyrus"]) == 2


def test_exports_write_one_file_or_a_folder_of_them(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalog", "export", "odcs", "hazard", "--to", "h.yaml"]) == 0
    assert Path("h.yaml").read_text(encoding="utf-8") == odcs.written(SHIPPED["hazard"])
    assert main(["catalog", "export", "odcs", "hazard", "--to", "h.yaml"]) == 2
    assert main(["catalog", "export", "odcs", "hazard", "--to", "h.yaml", "--replace"]) == 0
    assert main(["catalog", "export", "odcs", "hazard", "key_unit", "--to", "all"]) == 0
    assert sorted(p.name for p in Path("all").iterdir()) == ["hazard.odcs.yaml", "key_unit.odcs.yaml"]
    assert main(["catalog", "export", "odcs", "no_such"]) == 1
    assert main(["catalog", "export", "papyrus"]) == 2
    capsys.readouterr()
    assert main(["catalog", "export", "--json"]) == 0
    assert {f["kind"] for f in said(capsys)["forms"]} == set(documents.EXPORTS)


def test_the_authoritys_list_is_compared_and_what_would_open_something_stays_out(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, declared: Declarations
) -> None:
    assert main(["catalog", "export", "guide", "--to", "list.xlsx"]) == 0
    assert main(["catalog", "import", "list.xlsx"]) == 0  # nothing differs
    assert not (home / "catalog").exists()
    entry = declared.entries["key_unit"]
    loose = replace(entry, version="0.5", share_type="none")
    monkeypatch.setattr(opening, "declared", lambda home: replace(declared, entries={**declared.entries, "key_unit": loose}))  # fmt: skip
    capsys.readouterr()
    assert main(["catalog", "import", "list.xlsx", "--replace", "--json"]) == 1
    (shown,) = said(capsys)["documents"]
    assert [(d["kind"], d["what"]) for d in shown["differences"]] == [
        ("version", "version"),
        ("loosened", "share_type"),
    ]
    made, _ = declaration.load(home / "catalog/entries/key_unit.yaml", Entry, root=home)
    assert made == replace(loose, version=entry.version)


def test_a_version_that_goes_backwards_is_refused_by_its_cell(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, declared: Declarations
) -> None:
    main(["catalog", "export", "guide", "key_unit", "--to", "list.xlsx"])
    ahead = replace(declared.entries["key_unit"], version="7.0")
    monkeypatch.setattr(opening, "declared", lambda home: replace(declared, entries={"key_unit": ahead}))
    capsys.readouterr()
    assert main(["catalog", "import", "list.xlsx", "--replace"]) == 1
    assert "list.xlsx:3: cell B3: key_unit.version goes backwards" in capsys.readouterr().out
    assert not (home / "catalog").exists()


def test_a_contract_that_names_what_nobody_has_is_noted(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own.yaml").write_text(odcs.written(OWN).replace("CT_MAJOR", "CT_NOBODYS"), encoding="utf-8")
    assert main(["catalog", "import", "own.yaml", "--check"]) == 0
    assert "names a code table CT_NOBODYS that is not there yet" in capsys.readouterr().out
