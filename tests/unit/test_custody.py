"""Keys of recipients: handed over in a file that opens what was sealed, noted each time, never on a screen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog.errors import NotAuthorised, Refused
from catalog.masks import MASKS, Outgoing
from exchange.keys import FIXED
from exchange.stores import Stores
from tests.desks import Desk, desk

PAGE = Path(__file__).parents[2] / "docs/reference/sealed-values.md"


@pytest.fixture
def here(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desk(tmp_path, database_url) as made:
        yield made


def sealed(here: Desk, value: str) -> str:
    outgoing = Outgoing(
        recipient="nation", contract="c", field="contact", at=here.at, keys=here.stores.keyring, rows=pa.array(["1:A"])
    )  # fmt: skip
    return str(MASKS["seal"].apply(pa.array([value]), {}, outgoing)[0])


def opener() -> Any:
    """The recipe of the page, word by word."""
    block = next(
        b for b in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S) if "open_sealed" in b
    )
    scope: dict[str, Any] = {}
    exec(block, scope)
    return scope["open_sealed"]


def test_the_file_opens_what_was_sealed_before_and_after_a_rotation(here: Desk, tmp_path: Path) -> None:
    old = sealed(here, "张三")
    here.tick(hours=1)
    new_id = here.hub.custody.rotate("nation", "recipient", by="王")
    new = sealed(here, "李四")
    assert old.split(".")[1] != new.split(".")[1] == new_id
    to = tmp_path / "nation.keys"
    rows = here.hub.custody.export("nation", to, by="李")
    assert to.stat().st_mode & 0o777 == 0o600
    keys = {i: bytes.fromhex(k) for i, k in json.loads(to.read_text()).items()}
    assert [r.id for r in rows] == list(keys)
    for text, value in ((old, "张三"), (new, "李四")):
        assert opener()(text, keys, "nation", "c", "contact", ["A"]) == value
    assert here.entries("key_exported") == [{"purpose": "recipient", "keys": list(keys), "by": "李"}]
    assert here.entries("key_rotated") == [{"purpose": "recipient", "key": new_id, "by": "王"}]
    told = json.dumps(here.query("SELECT facts::text FROM leishu.entries")) + repr(rows)
    assert not any(k.hex() in told for k in keys.values())
    assert here.hub.verify(None) == []


def test_a_file_that_is_there_is_left_and_nothing_is_noted(here: Desk, tmp_path: Path) -> None:
    to = tmp_path / "keys"
    to.write_text("mine")
    with pytest.raises(Refused, match="exists"):
        here.hub.custody.export("nation", to, by="李")
    with pytest.raises(Refused, match="cannot be written"):
        here.hub.custody.export("nation", tmp_path / "nowhere" / "keys", by="李")
    assert to.read_text() == "mine"
    assert here.entries("key_exported") == []


def test_no_key_leaves_that_the_ledger_does_not_have(here: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def broken(*given: object, **named: object) -> None:
        raise Refused("不行", "no")

    monkeypatch.setattr(Stores, "closing", broken)
    with pytest.raises(Refused, match="no"):
        here.hub.custody.export("nation", tmp_path / "keys", by="李")
    assert not (tmp_path / "keys").exists()


def test_a_platform_gets_its_own_keys_alone(here: Desk, tmp_path: Path) -> None:
    files = {}
    for platform in ("nation", "city"):
        here.hub.custody.export(platform, tmp_path / platform, by="李")
        files[platform] = json.loads((tmp_path / platform).read_text())
    here.stores.key("uid", here.at)
    assert len(files["nation"]) == len(files["city"]) == 1
    assert not set(files["nation"].values()) & set(files["city"].values())
    assert [k.id for k in here.hub.custody.keys("nation")] == list(files["nation"])
    assert here.hub.custody.keys("county") == []


def test_keys_that_name_or_compare_are_not_rotated(here: Desk) -> None:
    for purpose in FIXED:
        with pytest.raises(NotAuthorised, match="do not rotate"):
            here.hub.custody.rotate("nation", purpose, by="王")
    with pytest.raises(Refused, match="recipient or pseudonym"):
        here.hub.custody.rotate("nation", "staging", by="王")
    assert here.entries("key_rotated") == []
    assert here.hub.custody.keys("nation") == []
