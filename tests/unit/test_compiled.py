"""The compiled cache of declarations: quicker, and never another answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import platforms
from catalog import declaration
from catalog.platform import Platform
from exchange import declarations
from exchange.compiled import Compiled
from exchange.route import Route
from tests import hubs


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return hubs.home(tmp_path)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are parsed from now on."""
    seen: list[str] = []
    real = declaration.load

    def load(path: Path, kind: type, **named: object) -> object:
        seen.append(path.name)
        return real(path, kind, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(declaration, "load", load)
    return seen


def test_what_is_unchanged_is_parsed_once_and_comes_to_the_same(home: Path, parsed: list[str]) -> None:
    first = declarations.read(home)
    assert "national.yaml" in parsed
    parsed.clear()
    again = declarations.read(home)
    assert parsed == []
    assert again.problems == first.problems == ()
    assert {r: w.revision for r, w in again.ways.items()} == {r: w.revision for r, w in first.ways.items()}
    assert again.platforms == first.platforms


def test_a_changed_file_and_no_other_is_parsed_again(home: Path, parsed: list[str]) -> None:
    declarations.read(home)
    parsed.clear()
    path = home / "catalog/platforms/national.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("000000", "110000"), encoding="utf-8")
    assert declarations.read(home).platforms["national"].division == "110000"
    assert parsed == ["national.yaml"]


def test_a_broken_file_is_told_of_each_time(home: Path) -> None:
    path = home / "catalog/platforms/national.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "wrong: 1\n", encoding="utf-8")
    first, again = declarations.read(home).problems, declarations.read(home).problems
    assert first == again
    assert any("wrong" in p.en for p in first)


def test_the_name_and_the_kind_of_a_file_count(home: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    path = home / "catalog/platforms/national.yaml"
    compiled = Compiled(cache)
    assert compiled.load(path, Platform, root=home)[0] is not None
    compiled.save()
    other = path.with_name("another.yaml")
    shutil.copy(path, other)
    again = Compiled(cache)
    assert "id must equal the file's name" in again.load(other, Platform, root=home)[1][0].en
    assert again.load(path, Route, root=home)[1]


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x81\xa1a\xa1b", b"not at all"])
def test_a_damaged_cache_costs_time_alone(home: Path, content: bytes) -> None:
    cache = home / "var" / "cache" / "declarations"
    wanted = declarations.read(home).platforms
    cache.write_bytes(content)
    assert declarations.read(home).platforms == wanted
    assert cache.read_bytes() != content


def test_values_of_another_form_in_the_cache_are_not_taken(home: Path, tmp_path: Path) -> None:
    cache, path = tmp_path / "cache", home / "catalog/platforms/national.yaml"
    compiled = Compiled(cache)
    made, _ = compiled.load(path, Platform, root=home)
    compiled.save()
    content = cache.read_bytes()
    assert content.count(b"000000") == 1
    cache.write_bytes(content.replace(b"000000", b"00000x"))
    assert Compiled(cache).load(path, Platform, root=home)[0] == made


def test_a_folder_that_cannot_be_written_keeps_nothing(home: Path) -> None:
    (home / "var").mkdir()
    (home / "var" / "cache").write_text("a file in its place")
    assert declarations.read(home).problems == ()
    assert oct((home / "var" / "cache").stat().st_mode)[-3:] != "777"


def test_platforms_of_a_class_share_a_layout_a_mapping_and_an_agreement(tmp_path: Path) -> None:
    home = tmp_path / "country"
    platforms.write(home, 40)
    for _ in range(2):
        declared = declarations.read(home)
        assert declared.problems == ()
        assert len(declared.ways) == len(declared.platforms) == 40
        assert len({id(w.layout) for w in declared.ways.values()}) == 1
        assert set(declared.agreements) == {"municipal.key_unit", "provincial.key_unit"}
