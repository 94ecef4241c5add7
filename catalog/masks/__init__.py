"""Masks (脱敏): how a field may leave when it may not leave as it is.

``MASKS`` names them all. Each keeps the column's Arrow type, length and nulls; none raises on a value or
lets one pass that it does not understand. What they write is known on its way back in (``catalog.masked``).
To leave a field out altogether needs no mask: what an agreement does not name is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from catalog.errors import Reason
from catalog.masks import generalise, keyed, places, redact
from catalog.masks.keyed import row_names
from catalog.masks.mask import Choice, Mask, Number, Options, Outgoing
from catalog.shape import FieldType

__all__ = ["MASKS", "Choice", "Mask", "Number", "Options", "Outgoing", "check_bound", "row_names"]

_WORDS: frozenset[FieldType] = frozenset({"string", "uscc", "id_no", "phone"})


def _registered(*masks: Mask) -> Mapping[str, Mask]:
    return MappingProxyType({mask.name: mask for mask in masks})


MASKS: Mapping[str, Mask] = _registered(
    Mask(name="keep_first", kind="redact", title="留首字,其余为星号", title_en="first character kept, a star for each other",
         types=frozenset({"string"}), kernel=redact.keep_first),
    Mask(name="keep_surname", kind="redact", title="留姓(复姓两字),其余为星号",
         title_en="surname kept, compound ones whole, a star for each other character",
         types=frozenset({"string"}), kernel=redact.keep_surname),
    Mask(name="phone", kind="redact", title="留前三位和后四位", title_en="first three and last four kept",
         types=frozenset({"phone", "string"}), kernel=redact.phone),
    Mask(name="id_no", kind="redact", title="留前三位和后四位", title_en="first three and last four kept",
         types=frozenset({"id_no", "uscc", "string"}), kernel=redact.id_no),
    Mask(name="address", kind="redact", title="地址只到县级", title_en="an address down to its county",
         types=frozenset({"string"}), kernel=places.address),
    Mask(name="hide", kind="redact", title="全部隐去", title_en="nothing kept", types=_WORDS, kernel=redact.hide),
    Mask(name="truncate", kind="truncate", title="只留开头若干字", title_en="the first characters alone",
         types=_WORDS, kernel=redact.truncate, fits=redact.cuts_something,
         options={"keep": Number(low=1, high=200, default=1)}),
    Mask(name="coordinate", kind="generalise", title="坐标保留到若干位小数", title_en="coordinate rounded to some decimals",
         types=frozenset({"decimal"}), kernel=generalise.coordinate, fits=generalise.hides_decimals,
         options={"decimals": Number(low=0, high=6, default=3)}),
    Mask(name="number", kind="generalise", title="数值只到区间下限", title_en="the lower end of a number's band",
         types=frozenset({"integer", "decimal"}), kernel=generalise.number, fits=generalise.fits_bits,
         options={"width": Number(low=2, high=1_000_000, default=100)}),
    Mask(name="date", kind="generalise", title="日期只到月、季或年(当期第一天)",
         title_en="a date's month, quarter or year alone, as its first day", types=frozenset({"date", "datetime"}),
         kernel=generalise.date, options={"to": Choice(among=generalise.PERIODS, default="year")}),
    Mask(name="division", kind="generalise", title="区划只到省、市或县", title_en="a division's province, city or county alone",
         types=frozenset({"division", "string"}), kernel=places.division, fits=places.hides_something,
         options={"to": Choice(among=places.LEVELS, default="province")}),
    Mask(name="pseudonym", kind="pseudonymise", title="按需求部门密钥生成的假名",
         title_en="keyed pseudonym, of its own for each recipient", types=_WORDS, kernel=keyed.pseudonym),
    Mask(name="seal", kind="seal", title="密封给需求部门", title_en="sealed for the recipient's key", types=_WORDS,
         kernel=keyed.seal, bound=True),
)  # fmt: skip


def check_bound(
    agreed: Mapping[str, str | None], key: Iterable[str], masks: Mapping[str, Mask] = MASKS
) -> list[Reason]:
    """What is wrong with the masks of an agreement's fields together: a sealed value opens with its record's key."""
    bound = [n for n, mask in agreed.items() if mask is not None and mask in masks and masks[mask].bound]
    lacking = ", ".join(n for n in key if n not in agreed or agreed[n] is not None)
    return [
        (f"字段 {name} 密封后须凭业务主键打开,授权要原样列出 {lacking}",
         f"field {name} is sealed and opens with the record's key: the agreement must name {lacking} unmasked")
        for name in bound if lacking
    ]  # fmt: skip
