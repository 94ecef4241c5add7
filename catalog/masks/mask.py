"""Mask: what one is, what it may be told, and where it may stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa

from catalog.errors import Reason
from catalog.keyring import Keyring
from catalog.shape import Field, FieldType

Options = Mapping[str, Any]
Kind = Literal["redact", "truncate", "generalise", "pseudonymise", "seal"]


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A column on its way out: of what, to whom, decided when."""

    recipient: str
    contract: str
    field: str
    at: datetime
    keys: Keyring | None = None
    rows: pa.Array | None = None  # texts that name the records, for what is bound to its record


Kernel = Callable[[pa.Array, Options, Outgoing], pa.Array]


@dataclass(frozen=True, kw_only=True)
class Number:
    """An option: a whole number."""

    low: int
    high: int
    default: int

    def wrong(self, name: str, value: Any) -> Reason | None:
        """Why the value will not do."""
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return None
        return (f"脱敏选项 {name} 须为 {self.low} 到 {self.high} 的整数",
                f"mask option {name} is a whole number from {self.low} to {self.high}")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An option: one of some words. The default shows the least."""

    among: tuple[str, ...]
    default: str

    def wrong(self, name: str, value: Any) -> Reason | None:
        """Why the value will not do."""
        if isinstance(value, str) and value in self.among:
            return None
        return (f"脱敏选项 {name} 须为 {'、'.join(self.among)} 之一",
                f"mask option {name} is one of {', '.join(self.among)}")  # fmt: skip


def _anywhere(field: Field, options: Options) -> Reason | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A registered mask. Its kernel gives an array of the same type, length and nulls, and raises on no value."""

    name: str
    kind: Kind
    title: str
    title_en: str
    types: frozenset[FieldType]  # of the fields that it can be put on
    kernel: Kernel
    options: Mapping[str, Number | Choice] = field(default_factory=dict)
    fits: Callable[[Field, Options], Reason | None] = _anywhere  # what more it asks of a field
    bound: bool = False  # needs the records' names: the recipient gets their key fields as they are

    def check(self, field: Field, options: Options) -> list[Reason]:
        """What is wrong with putting it on this field, as (Chinese, English)."""
        found: list[Reason] = []
        if field.type not in self.types:
            found.append((f"脱敏方式 {self.name} 不能用于 {field.type} 类型的字段",
                          f"mask {self.name} does not go on a field of type {field.type}"))  # fmt: skip
        for name, value in options.items():
            known = self.options.get(name)
            wrong = (
                (f"脱敏方式 {self.name} 没有选项 {name}", f"mask {self.name} has no option {name}")
                if known is None
                else known.wrong(name, value)
            )
            found += [wrong] if wrong else []
        if not found and (unfit := self.fits(field, self._complete(options))):
            found.append(unfit)
        return found

    def apply(
        self, array: pa.Array | pa.ChunkedArray, options: Options, outgoing: Outgoing
    ) -> pa.Array | pa.ChunkedArray:
        """The masked column, of the same type, length and nulls, however it is laid out.

        Raises NotAuthorised where a key or the records' names are
        missing; never on a value.
        """
        given = self._complete(options)
        if isinstance(array, pa.ChunkedArray):
            return pa.chunked_array(list(self._chunks(array, given, outgoing)), array.type)
        if pa.types.is_dictionary(array.type):
            # encoded anew: the old indices would tell apart what looks alike now
            plain = self.apply(array.dictionary_decode(), given, outgoing)
            return plain.dictionary_encode().cast(array.type)
        return self.kernel(array, given, outgoing)

    def _complete(self, options: Options) -> Options:
        return {**{name: known.default for name, known in self.options.items()}, **options}

    def _chunks(self, array: pa.ChunkedArray, options: Options, outgoing: Outgoing) -> Iterator[pa.Array]:
        done = 0
        for chunk in array.iterchunks():
            rows = None if outgoing.rows is None else outgoing.rows.slice(done, len(chunk))
            yield self.apply(chunk, options, replace(outgoing, rows=rows))
            done += len(chunk)
