"""Masks (脱敏): how a field may leave when it may not leave as it is.

``MASKS`` names them all. A mask keeps the column's Arrow type and its nulls. Those that write a star
are known on their way back in: ``conform`` takes no starred name, phone or number for a real one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from cryptography.hazmat.primitives import hashes, hmac

from catalog.errors import NotAuthorised
from catalog.keyring import Keyring
from catalog.shape import FieldType

Apply = Callable[[pa.Array, Mapping[str, Any], Keyring | None, str, datetime], pa.Array]
PURPOSE = "pseudonym"  # of the keyring's keys, one an owner (the recipient)


@dataclass(frozen=True, kw_only=True)
class Option:
    """A whole number that a mask may be told."""

    low: int
    high: int
    default: int


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A registered mask: (array, options, keys, recipient, at) -> array of the same type and length."""

    name: str
    title: str
    title_en: str
    types: frozenset[FieldType]  # of the fields that it can be put on
    apply: Apply
    options: Mapping[str, Option] = field(default_factory=dict)

    def check(self, type: FieldType, options: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with putting it on a field of this type, as (Chinese, English)."""
        found: list[tuple[str, str]] = []
        if type not in self.types:
            found.append((f"脱敏方式 {self.name} 不能用于 {type} 类型的字段",
                          f"mask {self.name} does not go on a field of type {type}"))  # fmt: skip
        for name, value in options.items():
            known = self.options.get(name)
            if known is None:
                found.append(
                    (f"脱敏方式 {self.name} 没有选项 {name}", f"mask {self.name} has no option {name}")
                )
            elif (
                isinstance(value, bool) or not isinstance(value, int) or not known.low <= value <= known.high
            ):
                found.append((f"脱敏选项 {name} 须为 {known.low} 到 {known.high} 的整数",
                              f"mask option {name} is a whole number from {known.low} to {known.high}"))  # fmt: skip
        return found

    def option(self, options: Mapping[str, Any], name: str) -> int:
        """The option's value, or its default."""
        return int(options.get(name, self.options[name].default))


def _text(array: pa.Array, expression: pl.Expr) -> pa.Array:
    frame = pl.DataFrame({"v": pl.from_arrow(array)})
    made = frame.select(expression.alias("v")).to_arrow(compat_level=pl.CompatLevel.oldest())
    return made.column("v").combine_chunks().cast(array.type)


def _stars(column: pl.Expr) -> pl.Expr:
    return column.str.replace_all(r"(?s).", "*")


def _keep_first(array: pa.Array, options: Any, keys: Any, recipient: str, at: datetime) -> pa.Array:
    v = pl.col("v")
    rest = pl.concat_str(v.str.slice(0, 1), _stars(v.str.slice(1)))
    return _text(array, pl.when(v.str.len_chars() > 1).then(rest).otherwise(_stars(v)))


def _ends(array: pa.Array, first: int, last: int, hidden: int) -> pa.Array:
    """``first`` and ``last`` characters stay; all are hidden where fewer than ``hidden`` would be between."""
    v = pl.col("v")
    middle = _stars(v.str.slice(first, v.str.len_chars().cast(pl.Int64) - first - last))
    kept = pl.concat_str(v.str.slice(0, first), middle, v.str.tail(last))
    return _text(array, pl.when(v.str.len_chars() >= first + last + hidden).then(kept).otherwise(_stars(v)))


def _phone(array: pa.Array, options: Any, keys: Any, recipient: str, at: datetime) -> pa.Array:
    return _ends(array, 3, 4, 4)


def _id_no(array: pa.Array, options: Any, keys: Any, recipient: str, at: datetime) -> pa.Array:
    return _ends(array, 3, 4, 8)


def _hide(array: pa.Array, options: Any, keys: Any, recipient: str, at: datetime) -> pa.Array:
    return pc.if_else(pc.is_valid(array), pa.scalar("***", array.type), pa.scalar(None, array.type))


def _coordinate(array: pa.Array, options: Any, keys: Any, recipient: str, at: datetime) -> pa.Array:
    places = MASKS["coordinate"].option(options, "decimals")
    return pc.round(array, ndigits=places).cast(array.type)


def _year(array: pa.Array, options: Any, keys: Any, recipient: str, at: datetime) -> pa.Array:
    return pc.floor_temporal(array, unit="year").cast(array.type)


def _pseudonym(array: pa.Array, options: Any, keys: Keyring | None, recipient: str, at: datetime) -> pa.Array:
    if keys is None:
        raise NotAuthorised(
            "假名需要密钥,但没有密钥环。请检查密钥环配置。",
            "a pseudonym needs a key and there is no keyring: look at the keyring's settings.",
        )
    _, key = keys.current(PURPOSE, recipient, at)
    start = hmac.HMAC(key, hashes.SM3())

    def token(value: str) -> str:
        mac = start.copy()
        mac.update(value.encode())
        return mac.finalize().hex()

    coded = array.dictionary_encode()  # one token a distinct value
    return pa.array([token(v) for v in coded.dictionary.to_pylist()], array.type).take(coded.indices)


def _registered(*masks: Mask) -> Mapping[str, Mask]:
    return MappingProxyType({mask.name: mask for mask in masks})


_WORDS: frozenset[FieldType] = frozenset({"string", "uscc", "id_no", "phone"})

MASKS: Mapping[str, Mask] = _registered(
    Mask(name="keep_first", title="留首字,其余为星号", title_en="first character kept, a star for each other",
         types=frozenset({"string"}), apply=_keep_first),
    Mask(name="phone", title="留前三位和后四位", title_en="first three and last four kept",
         types=frozenset({"phone", "string"}), apply=_phone),
    Mask(name="id_no", title="留前三位和后四位", title_en="first three and last four kept",
         types=frozenset({"id_no", "uscc", "string"}), apply=_id_no),
    Mask(name="hide", title="全部隐去", title_en="nothing kept", types=_WORDS, apply=_hide),
    Mask(name="coordinate", title="坐标保留到若干位小数", title_en="coordinate rounded to some decimals",
         types=frozenset({"decimal"}), apply=_coordinate,
         options={"decimals": Option(low=0, high=6, default=3)}),
    Mask(name="year", title="日期只留年份(当年一月一日)", title_en="a date's year alone, as its first of January",
         types=frozenset({"date"}), apply=_year),
    Mask(name="pseudonym", title="按需求部门密钥生成的假名", title_en="keyed pseudonym, of its own for each recipient",
         types=_WORDS, apply=_pseudonym),
)  # fmt: skip
