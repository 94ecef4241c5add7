"""Mapping: which field of one shape comes from which columns of another, in a closed vocabulary.

A mapping is YAML (``mappings/<id>.yaml``). Each target field has one expression, or the bare name of
the source column it is taken from::

    fields:
      unit_name: 单位名称                               # short for {from: 单位名称}
      op_address: {from: [乡镇, 门牌], join: ""}         # texts in one; what is empty is left out
      safety_contact_phone: {coalesce: [手机, 座机]}     # the first that is not empty
      src_org_name: {value: 德清县气象局}                # the same for every record
      inspect_date: {from: 检测日期, formats: ["%Y/%m/%d", "%Y%m%d"]}
      explosive_env: {from: 爆炸环境, "true": [是], "false": [否]}
      unit_status: {from: 状态, code: deqing_ent_status}
      lon: {from: 经度, scale: "0.000001"}
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["text", "date", "datetime", "integer", "decimal", "boolean"]
Direction = Literal["collect", "share"]


class Expression(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from", "as_": "as"}):
    """Where the value of one target field comes from and how it is written there.

    Exactly one of ``from``, ``value`` and ``coalesce`` is given. Texts are trimmed (full-width spaces
    too) and an empty one becomes null, before anything else looks at them.
    """

    from_: str | tuple[str, ...] | None = None  # a source column, or several that ``join`` puts together
    join: str | None = None  # what stands between the joined texts
    value: str | int | bool | None = None  # a constant, the same for every record but a tombstone
    coalesce: tuple[str, ...] | None = None  # source columns; the first that is not null
    as_: Kind | None = None  # the target's kind, said aloud; needed between date and datetime
    formats: tuple[str, ...] | None = (
        None  # of a date as text: all are read, the first written; else the text field's
    )
    code: str | None = None  # a code map: to canonical when collecting, from canonical when sharing
    null_if: tuple[str, ...] | None = None  # source texts that mean nothing: "/", "无"
    trim: bool = True  # false leaves spaces, and then empty texts, as they are
    upper: bool = False  # to capitals, before null_if, code and everything else
    true: tuple[str, ...] | None = None  # spellings of a boolean; the first is written
    false: tuple[str, ...] | None = None
    scale: str | None = None  # the number is multiplied by this decimal, exactly

    @property
    def sources(self) -> tuple[str, ...]:
        """The source columns that the expression reads, in order."""
        if self.coalesce is not None:
            return self.coalesce
        if self.from_ is None:
            return ()
        return (self.from_,) if isinstance(self.from_, str) else self.from_


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """How the records of one shape become records of another."""

    id: str
    title: str
    title_en: str = ""
    kind: Direction  # collect: layout to contract; share: contract to layout
    source: str  # the shape that comes in
    target: str  # the shape that goes out
    partial: bool = False  # true: required target fields may be missing (a channel of corrections)
    description: str = ""
    fields: dict[str, Expression | str]  # by target field

    @property
    def expressions(self) -> dict[str, Expression]:
        """The fields with every bare name written out."""
        return {
            name: Expression(from_=given) if isinstance(given, str) else given
            for name, given in self.fields.items()
        }
