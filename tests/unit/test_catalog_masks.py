from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag

from catalog import sealing
from catalog.errors import NotAuthorised
from catalog.masks import MASKS, Outgoing, row_names
from catalog.shape import Field

ROOT = Path(__file__).parents[2]

AT = datetime(2026, 11, 1, tzinfo=UTC)


class Keys:
    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        return "0123456789abcdef", f"{purpose}:{owner}".encode().ljust(32, b"\0")

    def by_id(self, key_id: str) -> bytes:
        raise NotAuthorised("没有", "none")


def outgoing(keys: Keys | None = None, to: str = "r", rows: pa.Array | None = None) -> Outgoing:
    return Outgoing(recipient=to, contract="unit", field="name", at=AT, keys=keys, rows=rows)


def masked(
    name: str,
    *values: Any,
    type: pa.DataType | None = None,
    keys: Keys | None = None,
    to: str = "r",
    **options: Any,
) -> list[Any]:
    array = pa.array(values, type or pa.string())
    made = MASKS[name].apply(array, options, outgoing(keys, to))
    assert made.type == array.type
    return made.to_pylist()


def test_names_keep_one_character() -> None:
    assert masked("keep_first", "张三", "欧阳修", "司马相如", "张", "", None, "𠮷田", "a\nb") == [
        "张*", "欧**", "司***", "*", "", None, "𠮷*", "a**",
    ]  # fmt: skip


def test_phones_keep_three_and_four() -> None:
    assert masked("phone", "13812345678", "0575-83012345", "4001234567", "1234567", "", None) == [
        "138****5678", "057******2345", "**********", "*******", "", None,
    ]  # fmt: skip


def test_numbers_keep_three_and_four() -> None:
    assert masked("id_no", "330683199001010017", "330683900101001", "G12345678", None) == [
        "330***********0017", "330********1001", "*********", None,
    ]  # fmt: skip


def test_hide() -> None:
    assert masked("hide", "张三", "", None) == ["***", "***", None]


def test_coordinates_are_rounded() -> None:
    point = Decimal("120.123987")
    kind = pa.decimal128(9, 6)
    assert masked("coordinate", point, None, type=kind) == [Decimal("120.124000"), None]
    assert masked("coordinate", point, type=kind, decimals=0) == [Decimal("120.000000")]


def test_dates_keep_their_year() -> None:
    assert masked("date", date(1990, 12, 31), None, type=pa.date32()) == [date(1990, 1, 1), None]


def test_pseudonyms_are_of_one_recipient() -> None:
    one = masked("pseudonym", "x", "y", None, "x", keys=Keys())
    assert one[0] == one[3] != one[1]
    assert one[2] is None
    assert len(one[0]) == 18
    assert one[0] != masked("pseudonym", "x", keys=Keys(), to="other")[0]
    with pytest.raises(NotAuthorised):
        masked("pseudonym", "x")


def test_slices_of_a_column() -> None:
    array = pa.array(["张三", "李四", None, "王五"]).slice(1, 3)
    for name in ("keep_first", "hide", "phone", "id_no"):
        assert MASKS[name].apply(array, {}, outgoing()).to_pylist()[1] is None


@pytest.mark.parametrize("name, type, options, words", [
    ("keep_first", "phone", {}, "does not go"), ("phone", "string", {"x": 1}, "no option"),
    ("coordinate", "decimal", {"decimals": 7}, "0 to 6"), ("coordinate", "decimal", {"decimals": "3"}, "0 to 6"),
    ("coordinate", "decimal", {"decimals": True}, "0 to 6"),
])  # fmt: skip
def test_wrong_use_is_told(name: str, type: Any, options: dict[str, Any], words: str) -> None:
    sized = {"precision": 9, "scale": 6} if type == "decimal" else {}
    field = Field(name="f", title="字段", type=type, **sized)
    ((zh, en),) = MASKS[name].check(field, options)
    assert zh
    assert words in en


def test_the_registry_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MASKS["none"] = MASKS["hide"]  # type: ignore[index]
    assert all(name == mask.name and mask.title and mask.title_en for name, mask in MASKS.items())


def _documented() -> Any:
    page = (ROOT / "docs/reference/sealed-values.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", page, flags=re.S)[0]
    names: dict[str, Any] = {}
    exec(code, names)
    return names["open_sealed"]


def test_a_recipient_opens_what_was_sealed_with_the_documented_code() -> None:
    batch = pa.RecordBatch.from_pydict({"code": ["A:1", "二"], "at": [date(2026, 1, 2), date(2026, 1, 3)]})
    rows = row_names(batch, ("code", "at"))
    array = pa.array(["330683199001010017", "张三\n𠮷"])
    made = MASKS["seal"].apply(array, {}, outgoing(Keys(), rows=rows)).to_pylist()
    assert len(made[0]) == 85
    opens = _documented()
    _, secret = Keys().current("seal", "r", AT)
    keys = {"0123456789abcdef": sealing.sm4_key(secret)}
    place = ("r", "unit", "name", ["A:1", "2026-01-02"])
    assert opens(made[0], keys, *place) == "330683199001010017"
    assert opens(made[1], keys, "r", "unit", "name", ["二", "2026-01-03"]) == "张三\n𠮷"
    swapped = made[0][:-9] + ("A" if made[0][-9] != "A" else "B") + made[0][-8:]
    for text, keys_, *where in (
        (made[1], keys, *place), (swapped, keys, *place), (made[0], {"0123456789abcdef": bytes(16)}, *place),
        (made[0], keys, "other", *place[1:]), (made[0], keys, "r", "unit", "phone", place[3]),
        (made[0], keys, "r", "unit", "name", ["A", "1", "2026-01-02"]),
    ):  # fmt: skip
        with pytest.raises(InvalidTag):
            opens(text, keys_, *where)


def test_sealing_again_changes_nothing_and_tells_no_two_records_alike() -> None:
    array, rows = pa.array(["x", "x", None]), pa.array(["1:a", "1:b", "1:c"])
    one = MASKS["seal"].apply(array, {}, outgoing(Keys(), rows=rows)).to_pylist()
    assert one == MASKS["seal"].apply(array, {}, outgoing(Keys(), rows=rows)).to_pylist()
    assert one[0] != one[1]
    assert one[2] is None
    with pytest.raises(NotAuthorised, match="records' keys"):
        MASKS["seal"].apply(array, {}, outgoing(Keys()))
    with pytest.raises(NotAuthorised, match="keyring"):
        MASKS["seal"].apply(array, {}, outgoing(rows=rows))
