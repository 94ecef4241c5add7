from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from catalog import declaration
from catalog.agreement import Agreement
from catalog.contract import Contract, Layout
from catalog.platform import Platform

PLATFORM = """\
id: a
title: 甲县平台
level: county
division: "330683"
connector:
  kind: sftp
"""
AGREEMENT = """\
id: a
entry: key_unit
recipient: b
purpose: 核验
legal_basis: 某条例
fields:
- {name: unit_name}
scope: {subtree: "330000"}
valid_from: 2025-02-30
valid_to: 2026-1-1
approval: {number: 文号, by: 某局, on: 2025-01-01}
"""


def lines(text: str, kind: type = Platform, id: str | None = "a") -> list[tuple[int, str]]:
    made, problems = declaration.parse(text, kind, file="f.yaml", id=id)
    assert (made is None) == bool(problems)
    assert all(p.zh and p.en and p.file == "f.yaml" for p in problems)
    return sorted((p.line, p.en) for p in problems)


def test_sound_file_becomes_its_declaration() -> None:
    made, problems = declaration.parse(PLATFORM, Platform, file="f", id="a")
    assert problems == []
    assert made is not None
    assert (made.division, made.connector.kind, made.time_zone) == ("330683", "sftp", "Asia/Shanghai")


def test_every_problem_is_named_at_its_line() -> None:
    text = PLATFORM.replace('"330683"', "330683").replace("county", "village") + "foo: 1\nbar: 2\n"
    found = lines(text)
    assert [line for line, _ in found] == [3, 4, 7, 8]
    assert "village" in found[0][1]
    assert "330683 is not of type 'string'" in found[1][1]
    assert [en for _, en in found[2:]] == ["-: unknown key: foo", "-: unknown key: bar"]


def test_number_without_quotes_is_told_how_to_mend() -> None:
    _, problems = declaration.parse(PLATFORM.replace('"330683"', "330683"), Platform, file="f")
    assert "加引号" in problems[0].zh
    _, problems = declaration.parse(PLATFORM + "  credential: 5\n", Platform, file="f")
    assert "加引号" in problems[0].zh
    assert problems[0].line == 7


def test_both_wrong_dates_are_found_at_once() -> None:
    assert [line for line, _ in lines(AGREEMENT, Agreement)] == [9, 10]


@pytest.mark.parametrize("text, line, words", [
    (PLATFORM + "title: again\n", 7, "'title' stands twice"),
    (PLATFORM + "  kind: again\n", 7, "'kind' stands twice"),
    (PLATFORM + "---\nid: b\n", 1, "exactly one document"),
    ("", 1, "exactly one document"),
    ("# nothing\n", 1, "exactly one document"),
    ("id: [\n", 2, "YAML error"),
    (PLATFORM + "1: x\n", 7, "key must be text"),
    (PLATFORM + "? [a]\n: b\n", 7, "key must be text"),
    (PLATFORM + "department: &d x\ntitle_en: *d\n", 7, "alias"),
    (PLATFORM + "department: !!python/name:os.system x\n", 7, "YAML error"),
    (PLATFORM.replace("id: a", "id: b"), 1, "b is not a"),
    ("# a note\n" + PLATFORM.replace("id: a", "id: b"), 2, "b is not a"),
    (PLATFORM.replace("title: 甲县平台", "title:"), 2, "None is not of type 'string'"),
    (PLATFORM.replace("level: county\n", ""), 1, "'level' is a required property"),
    (PLATFORM + "time_zone: Mars/Phobos\n", 7, "IANA"),
    ("just words", 1, "not of type 'object'"),
])  # fmt: skip
def test_one_wrong_thing(text: str, line: int, words: str) -> None:
    ((at, en),) = lines(text)
    assert at == line
    assert words in en


def test_aliases_do_not_explode() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijklmn", "bcdefghijklmno", strict=True)
    )
    ((_, en),) = lines(bomb)
    assert "alias" in en


def test_deep_nesting_is_a_problem_and_no_crash() -> None:
    assert len(lines("[" * 5000 + "]" * 5000)) == 1


def test_words_that_yaml_once_took_for_something_else() -> None:
    text = PLATFORM + "department: no\ntitle_en: 2025-01-01\n"
    made, problems = declaration.parse(text, Platform, file="f")
    assert problems == []
    assert made is not None
    assert (made.department, made.title_en) == ("no", "2025-01-01")


def test_a_shape_that_contradicts_itself() -> None:
    text = """\
id: a
title: 甲
platform: p
resource: r
key: [k]
fields:
- {name: k, title: 键}
- {name: d, title: 数, type: decimal}
"""
    ((line, en),) = lines(text, Layout)
    assert line == 8
    assert "precision" in en


def test_contract_needs_its_division() -> None:
    text = "id: a\ntitle: 甲\nfamily: f\nauthority: [national]\nkey: [k]\nfields:\n- {name: k, title: 键, required: true}\n"
    ((_, en),) = lines(text, Contract)
    assert "division_code" in en


def test_load_names_the_file_and_what_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "catalog" / "platforms"
    folder.mkdir(parents=True)
    (folder / "x.y.yaml").write_text(PLATFORM.replace("id: a", "id: x.y"), encoding="utf-8")
    made, problems = declaration.load(folder / "x.y.yaml", Platform, root=tmp_path)
    assert (made is not None, problems) == (True, [])
    (folder / "gbk.yaml").write_bytes("title: 县".encode("gbk"))
    made, problems = declaration.load(folder / "gbk.yaml", Platform, root=tmp_path)
    assert made is None
    assert str(problems[0]).startswith("catalog/platforms/gbk.yaml:0: ")
    assert declaration.load(folder / "none.yaml", Platform, root=tmp_path)[1][0].line == 0


def test_schema_is_closed_and_line_of_finds_the_place(tmp_path: Path) -> None:
    schema = declaration.json_schema(Platform)
    assert all(d["additionalProperties"] is False for d in schema["$defs"].values() if "properties" in d)
    path = tmp_path / "a.yaml"
    path.write_text(PLATFORM, encoding="utf-8")
    assert declaration.line_of(path, ["connector", "kind"]) == 6
    assert declaration.line_of(path, ["connector", "nothing"]) == 5
    assert declaration.line_of(tmp_path / "none.yaml", ["x"]) == 0


@dataclass(frozen=True, kw_only=True)
class _Free:
    on: date
    options: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    "value", [None, "", "no", "1e3", "+.5", "0x1F", "007", "2025-01-01", "~", "a: b", "\u2028", [None, {}]]
)
def test_dump_keeps_what_is_nested_in_free_options(value: Any) -> None:
    made = _Free(on=date(2025, 1, 1), options={"x": value})
    again, problems = declaration.parse(declaration.dump(made), _Free, file="f")
    assert (again, problems) == (made, [])


def test_digest_is_of_the_content() -> None:
    one, _ = declaration.parse(PLATFORM, Platform, file="f")
    same, _ = declaration.parse(f"# a note\n{PLATFORM}", Platform, file="f")
    other, _ = declaration.parse(PLATFORM.replace("甲", "乙"), Platform, file="f")
    assert declaration.digest(one) == declaration.digest(same) != declaration.digest(other)
