"""Cures: what a sender is told to do about a value that broke a rule, in Chinese and in English.

By the name of a check that every shape has, or by the type of a suite's expectation and what it was given. What
stands in a cure was declared by somebody here; it holds no value of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

Sentence = tuple[str, str]
Titles = Callable[[str], Sentence]  # what a field is called
_Given = Mapping[str, Any]

EMPTY = ("(空)", "(empty)")  # as a correction: the value is to be empty
OTHER: Sentence = ("请按数据标准核对后改正", "compare it with the data standard and correct it")
SHAPES: Mapping[str, Sentence] = MappingProxyType({
    "required": ("必填, 请补上", "required: fill it in"),
    "length": ("超长, 请缩短", "too long: shorten it"),
    "type": ("类型不对, 请按标准填写", "of another type: write it as the standard has it"),
    "masked": ("含星号, 请填完整值", "it has asterisks: give the whole value"),
    "code_table": ("不在代码表内, 请改用标准代码", "not in the code table: use one of its codes"),
    "division": ("区划代码不存在, 请核对", "no such division code: check it"),
    "format": ("格式不对, 请按标准填写", "of another format: write it as the standard has it"),
    "check_digit": ("校验位不对, 请核对证照", "the check character is wrong: compare with the certificate"),
    "text": ("不是文本, 请核对", "no text: check it"),
    "date": ("日期无法识别, 请写成 2026-03-01", "no day that can be read: write it as 2026-03-01"),
    "number": ("不是数字, 请核对", "no number: check it"),
    "boolean": ("不是是/否, 请核对", "neither yes nor no: check it"),
    "code_unmapped": ("代码没有对应, 请核对代码或联系枢纽", "the code is mapped to nothing: check it, or ask the hub"),
    "out_of_scope": ("不属于贵单位的区划, 请核对区划代码", "outside your divisions: check the division code"),
    "duplicate_key": ("主键重复, 请只保留一条或改正主键", "the key stands twice: keep one record, or correct the key"),
    "unknown_record": ("要删除的记录查无此条, 请核对主键", "no record to delete has this key: check it"),
    "reference": ("引用的记录不存在, 请先报送或改正", "the record that it refers to is not there: send that first, or correct this"),
    "clock_ahead": ("时间晚于现在, 请核对系统时钟", "a time in the future: check your clock"),
    "undeclared": ("接口规范没有这一列, 请去掉, 或与枢纽商定新版规范", "the layout has no such column: leave it out, or agree on a new version"),
    "unfit": ("类型不合接口规范, 请按规范填写", "not of the layout's type: write it as the layout has it"),
})  # fmt: skip
_SHOWN = 12  # values of a list


def cure(type: str, given: Mapping[str, Any], titles: Titles) -> Sentence:
    """What to do about a value that broke an expectation of this type with these arguments."""
    made = _CURES.get(type)
    return OTHER if made is None else made(given, titles)


def _listed(values: Iterable[object]) -> Sentence:
    found = ["" if v is None else str(v) for v in values]
    more = len(found) - _SHOWN
    zh, en = "、".join(found[:_SHOWN]), ", ".join(found[:_SHOWN])
    return (f"{zh} 等 {len(found)} 项", f"{en} and {more} more") if more > 0 else (zh, en)


def _bounds(given: _Given) -> Sentence:
    low, high = given.get("min_value"), given.get("max_value")
    parts: list[Sentence] = []
    if low is not None:
        parts.append((f"大于 {low}", f"over {low}") if given.get("strict_min") else (f"不小于 {low}", f"at least {low}"))  # fmt: skip
    if high is not None:
        parts.append((f"小于 {high}", f"under {high}") if given.get("strict_max") else (f"不大于 {high}", f"at most {high}"))  # fmt: skip
    return "、".join(p[0] for p in parts), " and ".join(p[1] for p in parts)


def _fixed(zh: str, en: str) -> Callable[[_Given, Titles], Sentence]:
    return lambda given, titles: (zh, en)


def _set(zh: str, en: str, name: str = "value_set") -> Callable[[_Given, Titles], Sentence]:
    def made(given: _Given, titles: Titles) -> Sentence:
        values = _listed(given[name])
        return f"{zh}: {values[0]}", f"{en}: {values[1]}"

    return made


def _named(zh: str, en: str, key: str) -> Callable[[_Given, Titles], Sentence]:
    """With one argument in the place of {}."""
    return lambda given, titles: (zh.format(given[key]), en.format(given[key]))


def _bounded(zh: str, en: str) -> Callable[[_Given, Titles], Sentence]:
    def made(given: _Given, titles: Titles) -> Sentence:
        bounds = _bounds(given)
        return f"{zh}{bounds[0]}", f"{en} {bounds[1]}"

    return made


def _columns(zh: str, en: str) -> Callable[[_Given, Titles], Sentence]:
    """With what the columns of the list are called in the place of {}."""

    def made(given: _Given, titles: Titles) -> Sentence:
        names = [titles(n) for n in given["column_list"]]
        return zh.format("、".join(n[0] for n in names)), en.format(", ".join(n[1] for n in names))

    return made


def _pair(zh: str, en: str) -> Callable[[_Given, Titles], Sentence]:
    """With what columns A and B are called in the places of {a} and {b}."""

    def made(given: _Given, titles: Titles) -> Sentence:
        a, b = titles(given["column_A"]), titles(given["column_B"])
        return zh.format(a=a[0], b=b[0]), en.format(a=a[1], b=b[1])

    return made


def _greater(given: _Given, titles: Titles) -> Sentence:
    if given.get("or_equal"):
        return _pair(
            "{a}不能早于或小于{b}, 请核对两项", "{a} cannot be earlier or less than {b}: check both"
        )(given, titles)
    return _pair("{a}须晚于或大于{b}, 请核对两项", "{a} must be later or greater than {b}: check both")(
        given, titles
    )


def _pairs(given: _Given, titles: Titles) -> Sentence:
    wanted = _listed(" + ".join("" if v is None else str(v) for v in p) for p in given["value_pairs_set"])
    zh, en = _pair("{a}与{b}须是其中一组", "{a} and {b} must be one of these pairs")(given, titles)
    return f"{zh}: {wanted[0]}", f"{en}: {wanted[1]}"


def _term(given: _Given, titles: Titles) -> Sentence:
    plain = given.get("unit") == "days"
    unit = ("日", "days") if plain else ("个工作日", "working days")
    zh, en = _pair("{a}须在{b}之后", "{a} must be within")(given, titles)
    return (
        f"{zh} {given['days']} {unit[0]}内, 请核对两个日期",
        f"{en} {given['days']} {unit[1]} of {titles(given['column_B'])[1]}: check both days",
    )


def _sum(given: _Given, titles: Titles) -> Sentence:
    zh, en = _columns("{}之和须为", "{} must add up to")(given, titles)
    return f"{zh} {given['sum_total']}", f"{en} {given['sum_total']}"


_V = "expect_column_values_"
_CURES: Mapping[str, Callable[[_Given, Titles], Sentence]] = MappingProxyType({
    f"{_V}to_not_be_null": _fixed("不能为空, 请补上", "it cannot be empty: fill it in"),
    f"{_V}to_be_null": _fixed(f"此时应为空, 请在更正值写 {EMPTY[0]}", f"it is to be empty here: write {EMPTY[1]}"),
    f"{_V}to_be_in_set": _set("请改为其中之一", "use one of"),
    f"{_V}to_not_be_in_set": _set("不能填占位或不允许的值, 请填真实值", "no placeholder: give the real value, none of"),
    f"{_V}to_match_regex": _named("请按规定的写法填写 (正则表达式 {})", "write it as prescribed (regular expression {})", "regex"),
    f"{_V}to_not_match_regex": _named("请去掉不允许的写法 (正则表达式 {})", "this way of writing is not allowed (regular expression {})", "regex"),
    f"{_V}to_match_regex_list": _set("请按规定的写法填写 (正则表达式)", "write it as prescribed (regular expressions)", "regex_list"),
    f"{_V}to_not_match_regex_list": _set("请去掉不允许的写法 (正则表达式)", "these ways of writing are not allowed (regular expressions)", "regex_list"),
    f"{_V}to_be_between": _bounded("须", "it must be"),
    f"{_V}to_be_unique": _fixed("与别的记录重复, 请只保留一条或改正", "another record has the same: keep one, or correct it"),
    "expect_compound_columns_to_be_unique": _columns("{}合起来与别的记录重复, 请只保留一条或改正", "another record has the same {}: keep one, or correct it"),
    "expect_column_value_lengths_to_be_between": _bounded("字数须", "its length in characters must be"),
    "expect_column_value_lengths_to_equal": _named("须为 {} 个字", "it must have {} characters", "value"),
    "expect_column_pair_values_a_to_be_greater_than_b": _greater,
    "expect_column_pair_values_to_be_equal": _pair("{a}与{b}须一致, 请核对两项", "{a} and {b} must be the same: check both"),
    "expect_column_pair_values_to_be_in_set": _pairs,
    "expect_multicolumn_sum_to_equal": _sum,
    "expect_multicolumn_values_to_be_equal": _columns("{}须一致, 请核对", "{} must be the same: check them"),
    "expect_multicolumn_values_to_be_unique": _columns("{}不能相同, 请核对", "{} must differ: check them"),
    "expect_select_column_values_to_be_unique_within_record": _columns("{}不能相同, 请核对", "{} must differ: check them"),
    f"{_V}to_be_valid_uscc": _fixed("统一社会信用代码 18 位, 校验位不符: 请核对证照", "a credit code has 18 characters and its check character: compare with the certificate"),
    f"{_V}to_be_valid_id_number": _fixed("公民身份号码 18 位, 校验码或出生日期不符: 请核对证件", "an ID number has 18 characters, a real day of birth, its check character: compare with the card"),
    f"{_V}to_have_known_address_code": _fixed("号码前六位不是行政区划代码: 请核对证件", "its first six digits are no division code: compare with the card"),
    f"{_V}to_be_phone_number": _fixed("请填 11 位手机号, 或带区号的固定电话", "a mobile number of 11 digits, or a telephone number with its area code"),
    f"{_V}to_be_document_number": _fixed("请按发文字号填写, 如 浙气发〔2026〕1号", "write it as a document number: 浙气发〔2026〕1号"),
    f"{_V}to_not_be_masked": _fixed("含星号, 请填完整值", "it has asterisks: give the whole value"),
    f"{_V}to_be_in_code_table": _named("请改用代码表 {} 中有效的代码", "use a code of table {} that is in force", "code_table"),
    "expect_column_pair_values_to_be_division_of_vintage": _pair("{a}须是{b}那一年有效的区划代码", "{a} must be a division code of the year in {b}"),
    "expect_column_pair_values_to_be_within_term": _term,
    "expect_coordinates_to_be_in_china": _columns("{}不在全国范围内: 请核对, 是否颠倒", "{} lie outside China: check them, and their order"),
    "expect_coordinates_to_be_in_division": _columns("{}对不上: 请核对坐标与区划", "{} do not agree: check coordinates and division"),
    "expect_dates_to_not_be_replaced": _columns("日期像是上传当日顶替的 ({}): 请填实际日期", "the day looks like that of the upload ({}): give the real one"),
    f"{_V}to_be_json_parseable": _fixed("不是完整的 JSON, 请核对", "no whole JSON: check it"),
    f"{_V}to_match_json_schema": _fixed("JSON 的结构不合规定, 请核对", "the JSON is not built as prescribed: check it"),
    f"{_V}to_be_dateutil_parseable": _fixed("日期无法识别, 请写成 2026-03-01", "no day that can be read: write it as 2026-03-01"),
    f"{_V}to_match_strftime_format": _named("日期请按 {} 的格式填写", "write the day in the format {}", "strftime_format"),
    f"{_V}to_be_increasing": _fixed("没有比前一行大, 请核对次序或取值", "not above the row before: check the order or the value"),
    f"{_V}to_be_decreasing": _fixed("没有比前一行小, 请核对次序或取值", "not below the row before: check the order or the value"),
    "expect_column_value_z_scores_to_be_less_than": _fixed("与其余取值相差过大, 请核对", "far from the other values: check it"),
    f"{_V}to_not_be_outliers": _fixed("与其余取值相差过大, 请核对", "far from the other values: check it"),
})  # fmt: skip
TYPES = frozenset(_CURES)
