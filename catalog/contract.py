"""The two kinds of shape: Contract (数据标准) and Layout (接口规范)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from catalog.shape import Shape, is_canonical
from catalog.subject import SELF, Identifier, Kind

Level = Literal["national", "provincial", "municipal", "county", "peer"]

DIVISION = "division_code"  # the field of every contract that says where a record belongs
VINTAGE = "division_vintage"  # the year in which the record's division code was written


@dataclass(frozen=True, kw_only=True)
class Contract(Shape):
    """A canonical record type and version."""

    family: str  # contracts that refer to one another run in one job, in order of reference
    authority: tuple[
        str, ...
    ]  # levels, departments or platforms: the first decides where two changed a field
    field_authority: dict[str, tuple[str, ...]] = field(default_factory=dict)  # where another order holds
    ties: Literal["person", "keep"] = "person"  # an even contest waits for a person; or what stands stays
    subject: Kind | None = None  # what one record is of, where it is of somebody
    subjects: tuple[Identifier, ...] = ()  # which fields say of whom or about whom a record is
    summary: tuple[str, ...] = ()  # fields that a list of records shows beside the key

    def __post_init__(self) -> None:
        super().__post_init__()
        bad = [n for n in self.names if not is_canonical(n)]
        if bad:
            raise ValueError(f"not a canonical field name: {', '.join(bad)}")
        if DIVISION not in self.names:
            raise ValueError(f"a contract has a field {DIVISION}")
        if self.by_name[DIVISION].type != "division":
            raise ValueError(f"field {DIVISION} is of type division")
        strange = [n for n in self.field_authority if n not in self.names]
        if strange:
            raise ValueError(f"field_authority names no field of it: {', '.join(strange)}")
        self._check_subjects()
        optional = [n for n in self.key if not self.by_name[n].required]
        if optional:
            raise ValueError(f"key field must be required: {', '.join(optional)}")

    def _check_subjects(self) -> None:
        strange = [n for n in (*(s.field for s in self.subjects), *self.summary) if n not in self.names]
        if strange:
            raise ValueError(f"subjects or summary names no field of it: {', '.join(strange)}")
        for told in self.subjects:
            if not is_canonical(told.role):
                raise ValueError(f"subjects: not a role: {told.role}")
            if told.role == SELF and self.subject is None:
                raise ValueError("subjects: role self needs subject, what one record is of")
            if told.by == "id_no" and self.by_name[told.field].sensitivity != "L3":
                raise ValueError(f"subjects: field {told.field} holds ID numbers and is of class L3")
        if self.subject is not None and not self.identified(SELF):
            raise ValueError("subject: subjects must name a field of role self")
        secret = [n for n in self.summary if self.by_name[n].sensitivity in ("L2", "L3")]
        if secret:
            raise ValueError(f"summary shows classes L0 and L1 alone: {', '.join(secret)}")

    def identified(self, role: str, *by: str) -> tuple[Identifier, ...]:
        """The fields of this role, all or those of these kinds."""
        return tuple(s for s in self.subjects if s.role == role and (not by or s.by in by))

    @cached_property
    def sealed(self) -> tuple[str, ...]:
        """Fields that the register keeps sealed value by value: class L3."""
        return tuple(f.name for f in self.fields if f.sensitivity == "L3")

    def rank(self, name: str, *called: str) -> int:
        """The place in a field's authority of a platform by any of its names: level, department, id."""
        order = self.field_authority.get(name, self.authority)
        return min((order.index(c) for c in called if c in order), default=len(order))


@dataclass(frozen=True, kw_only=True)
class Operation:
    """The layout's column that says insert, update or delete, and its values for each."""

    field: str
    insert: str
    update: str
    delete: str


@dataclass(frozen=True, kw_only=True)
class Layout(Shape):
    """A platform's own record shape, or one that several platforms follow."""

    platform: str | None = None  # whose it is; none: any platform's, as a standard interface is
    resource: str  # what the connector reads or writes: table, file pattern, path
    operation: Operation | None = None  # none: rows are states, a missing one says nothing
    changed_at: str | None = None  # the field that orders changes, where the kind needs one
    sequence: str | None = None  # the field that numbers a record's changes, growing; better than a clock
    keys: Literal["ours", "theirs"] = "ours"  # who gives a record we send its key there; theirs: by receipt
    version: str = "1.0.0"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (self.changed_at, self.sequence, self.operation and self.operation.field):
            if name and name not in self.names:
                raise ValueError(f"layout names no field {name}")


def ordered(contracts: Mapping[str, Contract]) -> dict[str, list[str]]:
    """Family: its contracts, each behind those that it refers to."""
    found: dict[str, list[str]] = {}
    for family in sorted({c.family for c in contracts.values()}):
        left = sorted(c.id for c in contracts.values() if c.family == family)
        targets = {c: {r.contract for r in contracts[c].references} - {c} for c in left}
        order: list[str] = []
        while left:
            free = [c for c in left if targets[c].isdisjoint(left)]
            order += free or left[:1]
            left = [c for c in left if c not in order]
        found[family] = order
    return found


def referred(names: Iterable[str], contracts: Mapping[str, Contract]) -> list[Contract]:
    """The named contracts and all that they refer to, by id."""
    found: set[str] = set()
    left = set(names)
    while left:
        found |= left
        left = {r.contract for c in left for r in contracts[c].references} - found
    return [contracts[c] for c in sorted(found)]
