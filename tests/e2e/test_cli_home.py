"""The command line over a real hub: a fresh home and a real PostgreSQL."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import psycopg
import pytest

from exchange.cli import main
from exchange.cli.schemas import FOLDER
from exchange.settings import ROOT

Ask = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def ask(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Ask:
    """Runs one command with --json over a fresh home: its exit code, its checked output, its words."""
    home = tmp_path / "home"
    monkeypatch.setenv("LEISHU_DATABASE_URL", database_url)
    monkeypatch.delenv("LEISHU_HOME", raising=False)
    assert main(["init", str(home), "--division", "330000"]) == 0
    monkeypatch.setenv("LEISHU_HOME", str(home))
    capfd.readouterr()

    def run(*line: str) -> tuple[int, Any, str]:
        code = main([*line, "--json"])
        out, err = capfd.readouterr()
        if not out:
            return code, None, err
        name = "-".join(w for w in line[:2] if (FOLDER / f"{line[0]}-{w}.json").exists() or w == line[0])
        schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        made = json.loads(out)
        jsonschema.validate(made, schema)
        return code, made, err

    return run


def test_a_fresh_home_gets_its_database_and_answers_every_question(ask: Ask) -> None:
    assert ask("check")[:2] == (0, {"home": ask("check")[1]["home"], "problems": []})
    code, _, words = ask("status")
    assert code == 4
    assert "leishu init" in words
    assert ask("init")[0] == 0
    assert ask("init")[0] == 0, "safe to repeat"
    assert ask("status")[:2] == (0, {"routes": [], "cases": []})
    assert ask("batches")[:2] == (0, {"batches": [], "refusals": []})
    assert ask("statement")[:2] == (0, {"rows": [], "closes": True, "settled": True})
    assert ask("quarantine", "list")[:2] == (0, {"rows": []})
    assert ask("quarantine", "show", "1")[:2] == (1, {"id": 1, "row": None})
    assert ask("platforms", "list")[:2] == (0, {"platforms": []})
    assert ask("trace", "330683-000001")[:2] == (1, {"records": []})
    assert ask("run", "--all")[:2] == (0, {"counts": {}, "failures": [], "held": [], "pending": []})
    assert ask("settle")[0] == 0
    assert ask("ledger", "verify")[:2] == (0, {"intact": True, "witness": None, "breaks": []})
    assert ask("ledger", "rebuild", "--check")[:2] == (
        0,
        {"check": True, "differ": {"holdings": 0, "cursors": 0, "standings": 0, "links": 0}},
    )
    assert ask("ledger", "rebuild")[0] == 0


def test_a_witness_that_has_seen_more_makes_the_ledger_broken(ask: Ask, tmp_path: Path) -> None:
    ask("init")
    witness = tmp_path / "elsewhere.txt"
    witness.write_text(f"12 {'ab' * 32}\n", encoding="ascii")
    code, made, words = ask("ledger", "verify", "--witness", str(witness))
    assert code == 5
    assert made["intact"] is False
    assert "stop" in words


def test_the_demonstrations_declarations_are_checked_and_listed(
    ask: Ask, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "demo"
    home.mkdir()
    for name in ("node.yaml", "catalog", "mappings", "quality", "routes"):
        if (ROOT / "demo" / name).exists():
            (home / name).symlink_to(ROOT / "demo" / name)
    monkeypatch.setenv("LEISHU_HOME", str(home))
    assert ask("check")[1]["problems"] == []
    assert ask("init")[0] == 0
    routes = ask("status")[1]["routes"]
    assert len(routes) == 24
    assert {r["outcome"] for r in routes} == {None}
    assert [p["id"] for p in ask("platforms", "list")[1]["platforms"]] == [
        "deqing",
        "national",
        "shaoxing",
        "shengzhou",
    ]
    shown = ask("platforms", "show", "deqing")[1]
    assert shown["platform"]["kind"] == "sftp"
    assert len(shown["routes"]) == 6
    assert ask("explain", "nobody", "--for", "deqing")[:2] == (
        1,
        {"platform": "deqing", "at": None, "records": []},
    )
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "select count(*) from pg_tables where tablename like 'key_unit%'"
        ).fetchone()
    assert tables is not None
    assert tables[0] >= 1


def test_a_database_that_does_not_answer_is_one_sentence(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, nobody listens
        monkeypatch.setenv("LEISHU_DATABASE_URL", f"postgresql://nobody:secret@127.0.0.1:{port}/none")
        code, made, words = ask("status")
    assert (code, made) == (3, None)
    assert len(words.splitlines()) == 1
    assert "secret" not in words
