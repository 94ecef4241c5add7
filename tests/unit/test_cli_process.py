"""The process around a command: imports, streams, languages, errors."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from catalog.declaration import load
from catalog.errors import DeclarationError, Problem, Refused
from exchange.cli import display, main, opening
from exchange.cli.task import Sheet
from exchange.route import Node
from exchange.settings import ROOT

HEAVY = {
    "exchange.hub",
    "pyarrow",
    "polars",
    "sqlalchemy",
    "msgspec",
    "yaml",
    "rich",
    "asyncio",
    "cryptography",
}


def _leishu(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.cli", *arguments], cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("line", [["--help"], ["run", "--help"], ["quarantine", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(line: list[str]) -> None:
    code = f"import sys; from exchange.cli import main; print(main({line}), file=sys.stderr); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    exit_code, modules = done.stderr.splitlines()
    assert exit_code == "0"
    assert set(eval(modules)) & HEAVY == set()
    assert done.stdout


def test_help_and_wrong_use_speak_the_language_of_the_process() -> None:
    assert _leishu("--help", LEISHU_LANG="zh").stdout.startswith("用法: leishu")
    assert "对账单" in _leishu("--help", LEISHU_LANG="", LC_ALL="zh_CN.UTF-8").stdout
    assert _leishu("--help", LEISHU_LANG="en").stdout.startswith("Usage: leishu")
    wrong = _leishu("batches", "--rout", "x", LEISHU_LANG="zh")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "用法不对: 没有选项 --rout (可能是: --route); 执行 leishu --help 看用法\n"


def test_init_makes_an_empty_home_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "Deqing Hub"
    line = ["init", str(home), "--title", '德清: "枢纽" # 1', "--division", "330521", "--json"]
    assert main(line) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["home"] == str(home)
    assert all((home / m).exists() for m in made["made"])
    node, problems = load(home / "node.yaml", Node, root=home, named=False)
    assert problems == []
    assert node == Node(id="deqing-hub", title='德清: "枢纽" # 1', division="330521")
    before = (home / "node.yaml").read_bytes()
    assert main(line) == 2
    assert (home / "node.yaml").read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main(["init", str(tmp_path / "full")]) == 2
    assert main(["init", str(tmp_path / "new"), "--division", "33"]) == 2
    assert not (tmp_path / "new").exists()


def test_a_place_that_is_no_home_is_a_wrong_use_and_nothing_is_made_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEISHU_HOME", str(tmp_path))
    assert main(["status"]) == 2
    assert "leishu init" in capsys.readouterr().err
    missing = tmp_path / "missing"
    assert main(["--home", str(missing), "status"]) == 2
    assert main(["--home", str(missing), "check"]) == 2
    assert list(tmp_path.iterdir()) == []


def _opens(monkeypatch: pytest.MonkeyPatch, home: Path, error: BaseException) -> None:
    @contextmanager
    def opened():  # type: ignore[no-untyped-def]
        raise error
        yield

    monkeypatch.setenv("LEISHU_HOME", str(home))
    monkeypatch.setattr(opening, "opened", opened)


def test_an_error_of_ours_is_its_sentence_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _opens(monkeypatch, tmp_path, Refused("口令不对", "the password is wrong"))
    assert main(["status", "--json"]) == 4
    assert tuple(capsys.readouterr()) == ("", "the password is wrong\n")
    problems = [
        Problem(file="routes/a.yaml", line=2, zh="一", en="one"),
        Problem(file="routes/b.yaml", line=1, zh="二", en="two"),
    ]
    _opens(monkeypatch, tmp_path, DeclarationError(problems))
    assert main(["status"]) == 1
    assert tuple(capsys.readouterr()) == ("", "routes/a.yaml:2: one\nroutes/b.yaml:1: two\n")


def test_a_fault_names_its_kind_and_its_log_and_never_its_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "330102199001011234"
    error = ValueError(f"bad value {secret}")
    error.__cause__ = KeyError(secret)
    _opens(monkeypatch, tmp_path, error)
    assert main(["trace", secret, "--json"]) == 70
    out, err = capsys.readouterr()
    log = tmp_path / "var" / "log" / "leishu.log"
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "ValueError" in err
    assert str(log) in err
    written = log.read_text(encoding="utf-8")
    assert secret not in written + err
    assert "builtins.KeyError" in written
    assert "records.py" in written


def test_ctrl_c_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _opens(monkeypatch, tmp_path, KeyboardInterrupt())
    assert main(["status"]) == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("line", ["--help", "check --json"])
def test_a_reader_who_goes_away_is_no_failure(line: str, tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("id: x\nnonsense: 1\n", encoding="utf-8")
    script = f"set -o pipefail; '{sys.executable}' -m exchange.cli --home '{tmp_path}' {line} | true"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.returncode in (0, 1)


def test_a_locale_without_chinese_gets_marks_and_json_stays_utf_8(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text("id: x\nnonsense: 1\n", encoding="utf-8")
    environment = {"PYTHONIOENCODING": "ascii", "LEISHU_LANG": "zh"}
    words = _leishu("--home", str(tmp_path), "check", **environment)
    assert words.returncode == 1
    assert "?" in words.stdout
    made = json.loads(_leishu("--home", str(tmp_path), "check", "--json", **environment).stdout)
    assert any("键" in p["zh"] for p in made["problems"])


def _shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sheet: Sheet, **environment: str
) -> str:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    display.as_tables([sheet])
    return capsys.readouterr().out


WIDE = Sheet(
    title="标题",
    columns=("交换任务", "状态", "时间", "数量"),
    rows=[("shengzhou.inspection_personnel.collect", "对方无应答", "2026-03-02 00:30:05", "读取 10000 = 登记 9800 + 隔离 200; " * 4)],
    below=0,
)  # fmt: skip


def test_a_screen_of_100_columns_holds_the_widest_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.cells import cell_len

    text = re.sub(r"\x1b\[[0-9;]*m", "", _shown(monkeypatch, capsys, WIDE))
    assert max(cell_len(line) for line in text.splitlines()) <= 100
    assert "…" not in text
    assert "shengzhou.inspection_personnel.collect" in text, "the id stands in one piece, to be copied"
    assert text.count("隔离") == 4


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b[" in _shown(monkeypatch, capsys, WIDE)
    assert "\x1b[3" not in _shown(monkeypatch, capsys, WIDE, NO_COLOR="1")


def test_a_pipe_gets_one_row_a_line_without_boxes() -> None:
    lines = display.plain(WIDE).splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() and line == line.rstrip() for line in lines)
    assert not set("".join(lines)) & set("─│┃━╭╮")
    assert lines[1].index("状态") == lines[2].index("对方无应答") - 4, (
        "columns are aligned by what a terminal shows"
    )


def test_cells_cannot_steer_the_terminal() -> None:
    sheet = Sheet(columns=("a",), rows=[("x\x1b]0;owned\x07\r\ny\u202e",)])
    assert display.plain(sheet) == "a\nx]0;owned y\n"
