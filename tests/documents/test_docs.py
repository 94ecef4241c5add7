"""The documents say what is so: links lead somewhere, commands exist, keys are described."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from catalog.declaration import json_schema
from catalog.masks import MASKS
from exchange.cli.app import app
from exchange.cli.reference import KINDS
from exchange.settings import ROOT

SKIPPED = {".venv", ".git", "var", "node_modules", "build"}
PAGES = sorted(p for p in ROOT.rglob("*.md") if not SKIPPED & set(p.relative_to(ROOT).parts))
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(path: Path) -> str:
    """The page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text(path), flags=re.S | re.M)


def slugs(path: Path) -> set[str]:
    """The places in the page that a link can name, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(path), flags=re.M)
    made = {re.sub(r"[^\w\- ]", "", t.strip().lower()).replace(" ", "-") for t in titles}
    return made | set(re.findall(r'<a id="([^"]+)">', text(path)))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, place = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        if place:
            assert place in slugs(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_names_a_place_of_one_machine(page: Path) -> None:
    assert not re.search(r"(?<![\w.])/(work|home|root|Users|tmp)/|localhost:\d{4}", text(page))


def _commands(group: Any, path: str = "") -> set[str]:
    found: set[str] = set()
    for name, command in group.commands.items():
        whole = f"{path} {name}".strip()
        found |= _commands(command, whole) if hasattr(command, "commands") else {whole}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_command_exists(page: Path) -> None:
    known = _commands(typer.main.get_command(app))
    spoken = re.findall(r"(?:`|^|/|> )leishu((?: --home \S+)?(?: [a-z]+){1,2})", text(page), flags=re.M)
    for words in spoken:
        said = re.sub(r" --home \S+", "", words).split()
        assert {said[0], " ".join(said)} & known, f"leishu {' '.join(said)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), flags=re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", text(page), flags=re.M)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_folder_and_file_named_exists(page: Path) -> None:
    for name in re.findall(r"`((?:catalog|connectors|mappings|quality|exchange|dags|demo|benchmarks|tests|docs)/[\w./-]*)`", text(page)):  # fmt: skip
        if "/var" not in name and "xinchang" not in name:  # the example's own platform
            assert (ROOT / name).exists(), name


def test_the_readme_names_every_command() -> None:
    known = {c for c in _commands(typer.main.get_command(app)) if c != "init"}
    for page in READMES:
        assert {c for c in known if f"`leishu {c}`" in text(page)} == known, page.name


def test_both_readmes_have_the_same_parts() -> None:
    def parts(path: Path) -> tuple[list[int], int, int, int]:
        body = prose(path)
        levels = [len(m) for m in re.findall(r"^(#+) ", body, flags=re.M)]
        rows = len(re.findall(r"^\|", body, flags=re.M))
        return levels, rows, len(re.findall(r"\]\(", body)), text(path).count("```")

    english, chinese = map(parts, READMES)
    assert english == chinese


def test_each_user_is_told_in_five_sentences() -> None:
    for page, mark, end in (
        (READMES[0], r"\*\*For [^*]+\*\*", r"[.](?= |$)"),
        (READMES[1], r"\*\*写给[^*]+\*\*", "。"),
    ):
        told = re.findall(rf"^{mark} ?(.+)$", text(page), flags=re.M)
        assert [len(re.findall(end, t)) for t in told] == [5, 5, 5], page.name


def test_no_place_is_left_to_be_filled() -> None:
    for page in PAGES:
        assert "<!--" not in text(page), page.name


def _properties(kind: type) -> set[str]:
    defined = json_schema(kind)["$defs"].values()
    return {name for shape in defined for name in shape.get("properties", {})}


@pytest.mark.parametrize("name", KINDS)
def test_each_key_of_a_declaration_is_described(name: str) -> None:
    page = text(ROOT / "docs/reference/declarations.md")
    sections = dict(re.findall(r'<a id="(\w+)"></a>\n(.*?)(?=\n<a id=|\Z)', page, flags=re.S))
    section = sections[name] + (sections["contract"] if name == "layout" else "")
    said = set(re.findall(r'`"?(\w+)"?`', section))
    assert _properties(KINDS[name]) <= said, _properties(KINDS[name]) - said


def test_each_mask_is_described() -> None:
    page = text(ROOT / "docs/reference/declarations.md")
    assert [m for m in MASKS if f"`{m}`" not in page] == []


def test_each_kind_of_entry_is_described() -> None:
    page = text(ROOT / "docs/reference/ledger.md")
    table = set(re.findall(r"^\| `(\w+_\w+)` \|", page, flags=re.M))
    source = "\n".join(text(p) for p in (ROOT / "exchange").glob("*.py"))
    written = set(
        re.findall(
            r"\"((?:agreement|batch|catalog|intake|release|payload|platform|receipts|receipt|lag|quarantine|replay|resend|staging|copies|backfill|recall|conflict|dispute|link|links|codes|dossier|key|finding|findings|coverage|anomaly|anomalies|register|score|scorecard)_[a-z_]*(?:(?<!_unus)ed|aside|withdrawn|kept))\"",
            source,
        )
    )
    assert table == written


def test_dependencies_are_those_that_were_decided() -> None:
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    page = text(ROOT / "docs/decisions/0002-dependencies.md")
    run, develop = page.split("## To develop")

    def listed(part: str) -> list[str]:
        return re.findall(r"^\| `([^`]+)` \|", part, flags=re.M)

    assert listed(run) == project["dependencies"]
    assert listed(develop) == project["optional-dependencies"]["dev"]


def test_decisions_are_numbered_and_listed() -> None:
    folder = ROOT / "docs/decisions"
    pages = sorted(p.name for p in folder.glob("0*.md"))
    assert [int(n[:4]) for n in pages] == list(range(1, len(pages) + 1))
    assert re.findall(r"\]\((0\d+-[\w-]+\.md)\)", text(folder / "README.md")) == pages
    for name in pages:
        assert text(folder / name).startswith(f"# {name[:4]} ")


def test_the_changelog_has_this_version() -> None:
    version = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["version"]
    assert f"## {version}" in text(ROOT / "CHANGELOG.md")
