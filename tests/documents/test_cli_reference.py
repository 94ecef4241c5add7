"""docs/reference/cli.md names every command, option and exit code, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from exchange.cli.app import app
from exchange.cli.outputs import COMMANDS
from exchange.cli.task import Code
from exchange.settings import ROOT

TEXT = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
COMMON = {"--help", "--json", "--home", "--version"}


def _commands(group: Any, path: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        whole = f"{path} {name}".strip()
        if hasattr(command, "commands"):
            yield from _commands(command, whole)
        else:
            yield whole, {o for p in command.params for o in p.opts if o.startswith("--")}


APP = dict(_commands(typer.main.get_command(app)))


def _sections() -> dict[str, set[str]]:
    """Command: the options that its section has in a table."""
    found: dict[str, set[str]] = {}
    for section in re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]:
        head, _, body = section.partition("\n")
        for command in re.findall(r"`leishu ([a-z]+(?: [a-z]+)?)", head):
            found[command] = set(re.findall(r"^\| `(--[a-z-]+)", body, flags=re.MULTILINE))
    return found


def test_every_command_has_its_section_and_every_option_its_line() -> None:
    assert _sections() == {command: options - COMMON for command, options in APP.items()}


def test_common_options_are_explained_and_every_command_has_json() -> None:
    assert set(re.findall(r"^\| `(--[a-z]+)", TEXT.split("## 命令")[0], flags=re.MULTILINE)) == COMMON
    assert all("--json" in options for options in APP.values())


def test_every_command_has_an_output_and_every_exit_code_a_line() -> None:
    assert {command for command, _ in COMMANDS} == APP.keys()
    assert re.findall(r"^\| (\d+) \|", TEXT, flags=re.MULTILINE) == [str(int(code)) for code in Code]
