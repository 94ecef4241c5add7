"""Kinds of connector listed, and a platform registered from the settings of its kind."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from catalog.declaration import load
from catalog.platform import Platform
from connectors.registry import default_registry
from exchange.cli import main

NEW = ["--title", "新昌县平台", "--level", "county", "--division", "330624"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LEISHU_HOME", str(tmp_path))
    monkeypatch.setenv("LEISHU_LANG", "en")
    return tmp_path


def new(*more: str, kind: str = "sftp", id: str = "xinchang") -> int:
    return main(["connectors", "new", kind, id, *NEW, *more])


def made(home: Path, id: str = "xinchang") -> Platform:
    found, problems = load(home / "catalog" / "platforms" / f"{id}.yaml", Platform, root=home)
    assert problems == []
    assert found is not None
    return found


def test_every_kind_names_every_setting_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connectors", "list", "--json"]) == 0
    kinds = {k["name"]: k for k in json.loads(capsys.readouterr().out)["kinds"]}
    assert tuple(sorted(kinds)) == default_registry().names
    for name, kind in kinds.items():
        settings = {s["name"]: s for s in kind["settings"]}
        assert list(settings) == list(default_registry().kind(name).settings_schema["properties"])
        assert all(s["title"] and s["title_en"] for s in settings.values()), name
        assert any("\u4e00" <= c <= "\u9fff" for c in kind["title"])
    assert [s["name"] for s in kinds["sftp"]["settings"] if s["required"]] == ["host_key"]


def test_a_platform_is_written_as_it_will_be_read(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        new(
            "--set",
            "encoding=GBK",
            "--set",
            "port=2222",
            "--set",
            "done=false",
            "--department",
            "县气象局",
            "--json",
        )
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "platform": "xinchang",
        "file": "catalog/platforms/xinchang.yaml",
        "lacking": ["host_key"],
        "credential": "xinchang",
    }
    platform = made(home)
    assert (platform.title, platform.department, platform.division) == ("新昌县平台", "县气象局", "330624")
    assert platform.connector.kind == "sftp"
    assert platform.connector.settings == {"encoding": "GBK", "port": 2222, "done": False}


def test_nothing_is_overwritten(home: Path) -> None:
    assert new() == 0
    before = (home / "catalog/platforms/xinchang.yaml").read_bytes()
    assert new("--set", "port=2222") != 0
    assert (home / "catalog/platforms/xinchang.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"more": ("--set", "port=none")}, "port"),
        ({"more": ("--set", "port=99999")}, "port"),
        ({"more": ("--set", "colour=red")}, "colour"),
        ({"more": ("--set", "encoding")}, "NAME=VALUE"),
        ({"more": ("--set", "encoding=EBCDIC")}, "encoding"),
        ({"kind": "pigeon"}, "pigeon"),
        ({"id": "../x"}, "../x"),
        ({"id": "X"}, "lower-case"),
        ({"more": ("--division", "33062")}, "division"),
        ({"more": ("--level", "village")}, "level"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    home: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any], said: str
) -> None:
    assert new(*more.get("more", ()), kind=more.get("kind", "sftp"), id=more.get("id", "xinchang")) != 0
    assert said in capsys.readouterr().err
    assert list(home.rglob("*.yaml")) == []


class Terminal(io.StringIO):
    """A screen with somebody in front of it."""

    def isatty(self) -> bool:
        return True


def test_in_a_terminal_it_asks_until_the_answer_is_of_the_settings_type(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = {"port": ["twenty", "2222"], "delimiter": [";"]}

    def answer(prompt: str) -> str:
        asked.append(prompt)
        waiting = answers.get(prompt.split()[0], [])
        return waiting.pop(0) if waiting else ""

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert new("--set", "encoding=GBK") == 0
    assert made(home).connector.settings == {"encoding": "GBK", "port": 2222, "delimiter": ";"}
    names = [p.split()[0] for p in asked]
    assert "encoding" not in names
    assert names.count("port") == 2
    assert not any("password" in n for n in names)
