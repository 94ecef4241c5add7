from __future__ import annotations

import csv
import re
from base64 import b32encode
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import masked as forms
from catalog import sealing
from catalog.divisions import Divisions
from catalog.errors import NotAuthorised
from catalog.masks import MASKS, Outgoing, check_bound, keyed, places, redact, row_names
from catalog.shape import Field
from exchange.keys import FileKeyring

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
    recipient: str = "r",
    **options: Any,
) -> list[Any]:
    array = pa.array(values, type or pa.string())
    made = MASKS[name].apply(array, options, outgoing(keys, recipient))
    assert made.type == array.type
    return made.to_pylist()


def test_names_keep_one_character() -> None:
    assert masked("keep_first", "张三", "欧阳修", "司马相如", "张", "", None, "𠮷田", "a\nb") == [
        "张*", "欧**", "司***", "*", "", None, "𠮷*", "a**",
    ]  # fmt: skip


def test_texts_of_a_length_between_those_of_others_hide_no_less() -> None:
    assert masked("phone", "13812345678", "057512345678", "0575-83012345") == [
        "138****5678", "057*****5678", "057******2345",
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
    assert one[0] != masked("pseudonym", "x", keys=Keys(), recipient="other")[0]
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
    _, secret = Keys().current(keyed.SEAL_KEYS, "r", AT)
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


AWKWARD = (
    None, "", "张", "张三", "欧阳修", "欧阳", "诸葛孔明", "上官", "东方不败x", "阿依古丽·买买提", "John Smith", " 李四 ", "𠮷田", "e\u0301a",
    "葛\U000e0100城", "👨‍👩‍👧", "a\nb", "\x00", "１３８１２３４５６７８", "13812345678", "0575-83012345", "330683199001010017",
    "33068319900101001x", "G1234", "330683", "330683100", "330683100002", "999999", "浙江省绍兴市嵊州市鹿山街道1号",
    "嵊州市剡湖街道", "绍兴市越城区", "广东省东莞市南城街道", "内蒙古自治区锡林郭勒盟锡林浩特市1号", "浙江省", "火星市一号", "***", "张*",
    "x" * 300, "浙江" + "长" * 90,
)  # fmt: skip
TEXT_MASKS = sorted(n for n, m in MASKS.items() if m.types & {"string", "division"})


def applied(name: str, array: Any, **options: Any) -> Any:
    rows = pa.array([f"1:{i}" for i in range(len(array))])
    return MASKS[name].apply(array, options, outgoing(Keys(), rows=rows))


@pytest.mark.parametrize("name", TEXT_MASKS)
def test_however_a_column_is_laid_out_it_becomes_the_same(name: str) -> None:
    whole = pa.array(AWKWARD)
    want = applied(name, whole).to_pylist()
    assert [v is None for v in want] == [v is None for v in AWKWARD]
    padded = pa.concat_arrays([pa.array(["前", None, "x"]), whole, pa.array(["后"])]).slice(3, len(whole))
    large = whole.cast(pa.large_string())
    chunked = pa.chunked_array([whole.slice(0, 7), pa.array([], pa.string()), whole.slice(7)])
    coded = whole.dictionary_encode()
    hidden = pa.Array.from_buffers(  # bytes under each null
        pa.string(),
        len(whole),
        [whole.buffers()[0], *pa.array(["密" if v is None else v for v in AWKWARD]).buffers()[1:]],
    )
    for array in (large, chunked, coded, hidden):
        made = applied(name, array)
        assert made.type == array.type
        assert made.to_pylist() == want
    if name != "seal":  # bound to rows, which are others there
        assert applied(name, padded).to_pylist() == want
    assert applied(name, whole.slice(0, 0)).to_pylist() == []
    assert applied(name, pa.nulls(3, pa.string())).to_pylist() == [None] * 3
    assert applied(name, pa.chunked_array([], pa.string())).to_pylist() == []


def test_a_dictionary_tells_no_more_than_its_values() -> None:
    made = applied("keep_first", pa.array(["张三", "张四", "张三"]).dictionary_encode())
    assert len(made.dictionary) == 1


@pytest.mark.parametrize("name", [n for n in TEXT_MASKS if n not in ("pseudonym", "seal", "division")])
def test_what_was_masked_is_masked_already(name: str) -> None:
    once = applied(name, pa.array(AWKWARD))
    assert applied(name, once).to_pylist() == once.to_pylist()


def _starred(value: str, first: int, last: int, least: int) -> str:
    if len(value) < first + last + least:
        return "*" * len(value)
    return value[:first] + "*" * (len(value) - first - last) + value[len(value) - last :]


WORDS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.text("0123456789", max_size=70),
    st.sampled_from(["13812345678", "057512345678", "0575-83012345", "075583012345-8"]),
    st.text("张欧阳上官諸葛*a·é𠮷", max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=12))
def test_stars_stand_for_every_character_that_is_not_kept(values: list[str | None]) -> None:
    array = pa.array(values, pa.string())
    with (Path(redact.__file__).with_name("compound_surnames.csv")).open(encoding="utf-8") as stream:
        compound = {row["surname"] for row in csv.DictReader(stream)}

    def surname(value: str) -> str:
        return _starred(value, 2 if value[:2] in compound and len(value) > 2 else 1, 0, 1)

    for name, model in (
        ("keep_first", lambda v: _starred(v, 1, 0, 1)), ("keep_surname", surname),
        ("phone", lambda v: _starred(v, 3, 4, 4)), ("id_no", lambda v: _starred(v, 3, 4, 8)),
        ("hide", lambda v: "***"), ("truncate", lambda v: v[:1].rstrip("*") + "***"),
    ):  # fmt: skip
        assert applied(name, array).to_pylist() == [None if v is None else model(v) for v in values], name


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([v for v in AWKWARD if v]), min_size=1), st.data())
def test_no_text_mask_writes_what_could_be_taken_for_a_real_value(
    values: list[str], data: st.DataObject
) -> None:
    for name in TEXT_MASKS:
        if MASKS[name].kind == "generalise":
            continue
        array = pa.array([v for v in values if len(v) > 0])
        made = pl.DataFrame({"v": pl.Series(pl.from_arrow(applied(name, array)))})
        known = made.select(
            pl.col("v"), free=forms.masked(pl.col("v"), free=True), any=forms.masked(pl.col("v"), free=False)
        )
        assert known["free"].all(), (name, known.filter(~pl.col("free")))
        assert known["any"].all()


def test_surnames_of_two_characters_stay_whole_where_asked() -> None:
    assert masked("keep_surname", "欧阳修", "欧阳", "欧阳", "诸葛孔明", "张三丰", "阿依古丽·买买提") == [
        "欧阳*", "欧*", "欧*", "诸葛**", "张**", "阿*******",
    ]  # fmt: skip


def test_addresses_end_at_their_county() -> None:
    told = {
        "浙江省绍兴市嵊州市鹿山街道1号": "浙江省绍兴市嵊州市***", "嵊州市剡湖街道": "嵊州市***", "浙江绍兴嵊州市三江街道": "浙江绍兴嵊州市***",
        "绍兴市越城区": "绍兴市越城区***", "广东省东莞市南城街道": "广东省东莞市***", "北京市朝阳区建国路1号": "北京市朝阳区***",
        "内蒙古自治区锡林郭勒盟锡林浩特市1号": "内蒙古自治区锡林郭勒盟锡林浩特市***", "嵊县城关镇": "嵊县***",
        "新疆维吾尔自治区巴音郭楞蒙古自治州和静县一号": "新疆维吾尔自治区巴音郭楞蒙古自治州和静县***",
        "新疆维吾尔自治区巴音郭楞蒙古自治州焉耆回族自治县二号": "新疆维吾尔自治区巴音郭楞蒙古自治州焉耆回族自治县***",
        "新疆维吾尔自治区巴音": "***", "浙江省杭州市文三路": "***", "浙江省绍兴市鹿山街道": "浙江省绍兴市***", "浙江省 绍兴市 嵊州市": "***", "火星市一号": "***", "": "***", " 嵊州市": "***",
    }  # fmt: skip
    assert dict(zip(told, masked("address", *told), strict=True)) == told


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(
    st.sampled_from(["浙江省", "浙江", "新疆维吾尔自治区", ""]), st.sampled_from(["绍兴市", "巴音郭楞蒙古自治州", "杭州", ""]),
    st.sampled_from(["嵊州市", "焉耆回族自治县", "朝阳区", "城区", ""]), st.text(max_size=8)), max_size=8))  # fmt: skip
def test_an_address_shows_names_of_divisions_and_nothing_else(parts: list[tuple[str, ...]]) -> None:
    titles = set(Divisions.load().table["title"].to_list())
    short = titles | {re.sub("(省|市|(壮族|回族|维吾尔)?自治区)$", "", t) for t in titles}
    values = ["".join(p) for p in parts]
    for value, shown in zip(values, masked("address", *values), strict=True):
        assert shown.endswith("***")
        left = shown[:-3]
        assert value.startswith(left)
        if left:
            assert any(
                a + b + c == left for c in titles if left.endswith(c)
                for a in ("", *(t for t in short if left.startswith(t))) for b in (left[len(a) : len(left) - len(c)],)
                if b == "" or b in short
            )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.tuples(
    st.sampled_from(["新疆维吾尔自治区", "浙江", "云南省", ""]), st.sampled_from(["巴音郭楞蒙古自治州", "丽水市", "普洱市", ""]),
    st.sampled_from(["焉耆回族自治县", "景宁畲族自治县", "镇沅彝族哈尼族拉祜族自治县", "和静县", "嵊州市", ""]),
    st.text(st.sampled_from("县长乐镇1号"), max_size=9)).map("".join), max_size=30), st.integers(1, 5))  # fmt: skip
def test_an_address_shows_the_longest_path_however_many_are_worked_on_at_a_time(
    values: list[str | None], rows: int
) -> None:
    paths = places._paths().numbers
    told = []
    for value in values:
        heads = [] if value is None else [value[:n] for n in range(len(value), 0, -1)]
        told.append(None if value is None else next((h for h in heads if h.encode() in paths), "") + "***")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "ROWS", rows)
        patch.setattr(places, "_MOST", rows)
        assert places.address(pa.array(values, pa.string()), {}, outgoing()).to_pylist() == told


def test_divisions_go_up() -> None:
    codes = (
        "330683",
        "330600",
        "330000",
        "110101",
        "419001",
        "659012",
        "441900",
        "330683100",
        "330683100002",
    )
    assert masked("division", *codes, to="city") == [
        "330600", "330600", "330000", "110000", "410000", "650000", "441900", "330600", "330600",
    ]  # fmt: skip
    assert masked("division", *codes) == [c[:2] + "0000" for c in codes]
    assert masked("division", "330683100002", "330683", to="county") == ["330683", "330683"]
    assert masked("division", "999999", "33068", "", "３３０６８３", "330683x", None) == ["***"] * 5 + [None]


def test_rounding_never_leaves_the_type() -> None:
    kind = pa.decimal128(9, 6)
    ends = [
        Decimal("999.999999"),
        Decimal("-999.999999"),
        Decimal("0.0005"),
        Decimal("0.0015"),
        Decimal("-0.0015"),
    ]
    assert masked("coordinate", *ends, type=kind) == [
        Decimal("999.999000"), Decimal("-999.999000"), Decimal("0.000000"), Decimal("0.002000"), Decimal("-0.002000"),
    ]  # fmt: skip
    assert masked("number", 250, -1, 0, None, type=pa.int64()) == [200, -100, 0, None]
    ends = [2**63 - 1, -(2**63), -(2**63) + 5]
    made = masked("number", *ends, type=pa.int64(), width=1_000_000)
    assert all(abs(m - v) < 1_000_000 and m % 1_000_000 == 0 for m, v in zip(made, ends, strict=True))
    assert masked("number", Decimal("-99.99"), Decimal("250.50"), type=pa.decimal128(5, 2)) == [
        Decimal("-100.00"), Decimal("200.00"),
    ]  # fmt: skip
    assert masked("number", Decimal("-99.99"), type=pa.decimal128(4, 2)) == [Decimal("0.00")]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.dates()), max_size=8),
    st.lists(st.one_of(st.none(), st.datetimes()), max_size=8),
)
def test_days_and_instants_go_back_to_their_period_in_china(days: list[Any], instants: list[Any]) -> None:
    months = {"month": 1, "quarter": 3, "year": 12}

    def first(day: date, to: str) -> date:
        month = (day.year * 12 + day.month - 1) // months[to] * months[to]
        return date(month // 12, month % 12 + 1, 1)

    zone = timezone(timedelta(hours=8))
    instants = [i and i.replace(tzinfo=UTC) for i in instants if i is None or 1 < i.year < 9999]
    for to in months:
        assert masked("date", *days, type=pa.date32(), to=to) == [d and first(d, to) for d in days]
        made = masked("date", *instants, type=pa.timestamp("us", tz="UTC"), to=to)
        assert made == [
            i and datetime.combine(first(i.astimezone(zone).date(), to), datetime.min.time(), zone)
            for i in instants
        ]


def test_dates_of_any_year_pass_through() -> None:
    ends = [2**31 - 1, -(2**31), 0, None]
    made = (
        applied("date", pa.array(ends, pa.int32()).cast(pa.date32()), to="year").cast(pa.int32()).to_pylist()
    )
    assert all(0 <= e - m < 366 or e == -(2**31) for e, m in zip(ends[:3], made[:3], strict=True))
    far = pa.array([2**63 - 1, -(2**63), None], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    assert applied("date", far).cast(pa.int64()).to_pylist()[2] is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=20))
def test_two_recipients_cannot_join_by_pseudonyms(values: list[str]) -> None:
    one = masked("pseudonym", *values, keys=Keys(), recipient="one")
    two = masked("pseudonym", *values, keys=Keys(), recipient="two")
    assert not set(one) & set(two)
    assert len(set(one)) == len(set(two)) == len(set(values))
    assert all(re.fullmatch(r"\*P[A-Z2-7]{16}", v) for v in one)


def test_a_pseudonym_is_reckoned_once_a_distinct_value(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []

    def counted(value: bytes) -> bytes:
        made.append(value)
        return b32encode(value)

    monkeypatch.setattr(keyed, "base64", SimpleNamespace(b32encode=counted))
    masked("pseudonym", *["甲", "乙", None, "甲"] * 50, keys=Keys())
    assert len(made) == 2


def test_a_key_that_rotates_seals_anew_and_opens_the_old(tmp_path: Path) -> None:
    keys = FileKeyring(tmp_path)
    rows, array = pa.array(["1:a"]), pa.array(["张三"])
    old = MASKS["seal"].apply(array, {}, replace(outgoing(rows=rows), keys=keys)).to_pylist()[0]
    keys.rotate(keyed.SEAL_KEYS, "r", AT)
    new = MASKS["seal"].apply(array, {}, replace(outgoing(rows=rows), keys=keys)).to_pylist()[0]
    assert old.split(".")[1] != new.split(".")[1]
    held = {t.split(".")[1]: sealing.sm4_key(keys.by_id(t.split(".")[1])) for t in (old, new)}
    assert {_documented()(t, held, "r", "unit", "name", ["a"]) for t in (old, new)} == {"张三"}


@pytest.mark.parametrize("name, made, options, words", [
    ("coordinate", {"type": "decimal", "precision": 9, "scale": 3}, {}, "nothing is masked"),
    ("coordinate", {"type": "decimal", "precision": 20, "scale": 6}, {}, "18 digits"),
    ("number", {"type": "decimal", "precision": 20, "scale": 6}, {}, "18 digits"),
    ("truncate", {"length": 6}, {"keep": 6}, "nothing is cut"),
    ("division", {"type": "division"}, {"to": "county"}, "no more than its county"),
    ("division", {"type": "division"}, {"to": "town"}, "province, city, county"),
    ("date", {"type": "date"}, {"to": 1}, "month, quarter, year"),
    ("seal", {"type": "date"}, {}, "does not go"),
])  # fmt: skip
def test_a_mask_that_would_hide_nothing_is_told(name: str, made: dict[str, Any], options: dict[str, Any], words: str) -> None:  # fmt: skip
    ((zh, en),) = MASKS[name].check(Field(name="f", title="字段", **made), options)
    assert zh
    assert words in en


def test_a_sealed_field_needs_its_records_key_in_the_clear() -> None:
    assert check_bound({"code": None, "name": "seal"}, ("code",)) == []
    assert check_bound({"code": "hide", "name": "hide"}, ("code",)) == []
    for agreed in ({"name": "seal"}, {"code": "hide", "name": "seal"}, {"code": "seal"}):
        ((zh, en),) = check_bound(agreed, ("code",))
        assert "code" in zh
        assert "must name code unmasked" in en


def test_the_documented_types_and_options_are_the_registered_ones() -> None:
    page = (ROOT / "docs/reference/declarations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.*?) \| ", page, flags=re.M)
    told = {name: (set(types.split(", ")), options) for name, types, options in rows if name in MASKS}
    assert {n: t for n, (t, _) in told.items()} == {n: set(m.types) for n, m in MASKS.items()}
    for name, mask in MASKS.items():
        assert set(re.findall(r"`(\w+)`", told[name][1])) == {*mask.options, *(
            word for option in mask.options.values() for word in getattr(option, "among", ()))}  # fmt: skip
