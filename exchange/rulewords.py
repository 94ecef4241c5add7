"""What people call the checks that no suite gives a title: of shapes, of mappings, of the hub itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RULES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "required": ("必填项为空", "a required value is missing"),
    "length": ("超过规定长度", "longer than allowed"),
    "type": ("类型不符", "another type"),
    "masked": ("已脱敏的值", "a masked value"),
    "code_table": ("代码不在代码表内", "not in the code table"),
    "division": ("区划代码无效", "no valid division code"),
    "format": ("格式不符", "another format"),
    "check_digit": ("校验位不符", "the check character is wrong"),
    "text": ("无法读成文本", "cannot be read as text"),
    "date": ("无法读成日期", "cannot be read as a day"),
    "number": ("无法读成数字", "cannot be read as a number"),
    "boolean": ("无法读成是否", "cannot be read as yes or no"),
    "code_unmapped": ("代码没有映射", "the code is mapped to nothing"),
    "out_of_scope": ("超出可录入的区划", "outside the divisions that the sender enters"),
    "duplicate_key": ("主键重复", "the key stands more than once"),
    "unknown_record": ("没有这条记录", "there is no such record"),
    "reference": ("引用的记录不存在", "the record that it refers to does not exist"),
    "clock_ahead": ("时间在将来", "made in the future"),
    "undeclared": ("没有声明的列有值", "a value in a column that is not declared"),
    "missing_copy": ("对方缺的记录", "not there"),
    "different_copy": ("对方与所发的不同", "other than it was sent"),
    "extra_copy": ("对方多出的记录", "there, and should not be"),
    "refused_copy": ("对方拒收的记录", "refused"),
    "unsettled_copy": ("对方所持未定的记录", "nobody knows what it holds"),
    "unfit": ("不合声明的类型", "does not fit the declared type"),
})  # fmt: skip
