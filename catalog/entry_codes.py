"""An entry's values against the code tables: share types by (scheme, value), states, legal bases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from catalog.authority import Authority, version_number
from catalog.codes import CodeTables
from catalog.entry import OURS, Basis, Entry, Flaw

_SHARES = "shares"  # scheme of CT_CAT_STATE: the states in which an entry is shared
_WITHHOLDS = "withholds"  # scheme of CT_BASIS: the kinds that justify 不予共享


@cache
def shipped() -> CodeTables:
    """The tables that are shipped, without a home's."""
    return CodeTables.load(Path(__file__).with_name("codes"))[0]


def sharing_states(codes: CodeTables | None = None) -> frozenset[str]:
    """The states (CT_CAT_STATE) in which an entry may be shared, by these tables or those shipped; maybe none."""
    rows = (shipped() if codes is None else codes).tables.get("CT_CAT_STATE", ())
    return frozenset(c.canonical for c in rows if c.scheme == _SHARES)


def share_words(codes: CodeTables, scheme: str, at: date) -> dict[str, str]:
    """A scheme's share types -> unconditional, conditional, none. Empty for a scheme not known.

    无条件/有条件/不予 are 1/2/3 in one system and 2/1/3 in another: nothing is looked up by value alone.
    """
    words = {code: word for word, code in codes.canonical("CT_SHARE", OURS, at).items()}
    theirs = codes.canonical("CT_SHARE", scheme, at)
    return {value: words[code] for value, code in theirs.items() if code in words}


def resolved(
    entry: Entry, codes: CodeTables, authorities: Mapping[str, Authority]
) -> tuple[Entry, list[Flaw]]:
    """(the entry with its share types as words, what its codes have wrong), as of its publication day."""
    at = entry.published_at
    words = share_words(codes, entry.share_scheme, at)
    found: list[Flaw] = []
    if not words:
        schemes = ", ".join(sorted({c.scheme for c in codes.tables.get("CT_SHARE", ())}))
        found.append(Flaw(keys=("share_scheme",), zh=f"没有共享类型的编码方案 {entry.share_scheme}; 已知: {schemes}",
                          en=f"no scheme of share types {entry.share_scheme}; known: {schemes}"))  # fmt: skip
    else:
        values: list[tuple[tuple[Any, ...], str]] = [(("share_type",), entry.share_type)]
        values += [(("fields", i, "share_type"), f.share_type) for i, f in enumerate(entry.fields)]
        found += [
            Flaw(keys=keys, zh=f"共享类型不是编码方案 {entry.share_scheme} 的值; 允许: {', '.join(words)}",
                 en=f"no share type of scheme {entry.share_scheme}; allowed: {', '.join(words)}")
            for keys, value in values
            if value not in words
        ]  # fmt: skip
    made = replace(
        entry,
        share_scheme=OURS,
        share_type=words.get(entry.share_type, ""),
        fields=tuple(replace(f, share_type=words.get(f.share_type, "")) for f in entry.fields),
    )
    given = _given(made, authorities, sharing_states(codes))
    return made, [*found, *given, *_coded(made, codes, at), *_withheld(made, codes, at)]


def _given(entry: Entry, authorities: Mapping[str, Authority], sharing: frozenset[str]) -> Iterator[Flaw]:
    """What the catalog authority gives: its form, and that it was given before anything is shared."""
    authority = authorities.get(entry.authority)
    if authority is None:
        known = ", ".join(sorted(authorities))
        yield Flaw(keys=("authority",), zh=f"没有可用的目录主管部门 {entry.authority}; 有 {known}",
                   en=f"no sound authority {entry.authority}; there are {known}")  # fmt: skip
    for name, given in (("code", entry.code), ("version", entry.version)):
        if not given and entry.state in sharing:
            yield Flaw(keys=(name,), zh="可共享的条目须有目录主管部门给出的代码和版本",
                       en="what is shared has a code and a version from the catalog authority")  # fmt: skip
    wrong = authority.code_flaw(entry.code) if authority is not None and entry.code else None
    if wrong is not None:
        yield Flaw(keys=("code",), zh=wrong[0], en=wrong[1])
    if entry.version and version_number(entry.version) is None:
        yield Flaw(keys=("version",), zh="不是版本号,如 1.0", en="no version, as 1.0")


def _coded(entry: Entry, codes: CodeTables, at: date) -> Iterator[Flaw]:
    rows: list[tuple[tuple[Any, ...], str, str]] = [
        (("state",), "CT_CAT_STATE", entry.state),
        (("open_type",), "CT_OPEN", entry.open_type),
        (("cycle",), "CT_CYCLE", entry.cycle),
        (("channel", "net"), "CT_NET", entry.channel.net),
        *((("method", i), "CT_METHOD", m) for i, m in enumerate(entry.method)),
        *((("legal_basis", i, "kind"), "CT_BASIS", b.kind) for i, b in enumerate(entry.legal_basis)),
    ]
    for i, field in enumerate(entry.fields):
        rows += [
            (("fields", i, "legal_basis", n, "kind"), "CT_BASIS", b.kind)
            for n, b in enumerate(field.legal_basis)
        ]
    if entry.reason:
        rows.append((("reason",), "CT_REASON", entry.reason))
    elif entry.share_type != "unconditional":
        yield Flaw(keys=("share_type",), zh="不是无条件共享的,须写明理由 reason (CT_REASON)",
                   en="what is not shared without conditions states its reason (CT_REASON)")  # fmt: skip
    if not entry.method:
        yield Flaw(keys=("method",), zh="至少一种共享方式", en="one method of sharing at the least")
    for keys, table, code in rows:
        own = codes.codes(table, at).to_pylist()
        if code not in own:
            allowed = ", ".join(own)
            yield Flaw(keys=keys, zh=f"不是 {table} 的代码; 允许: {allowed}",
                       en=f"no code of {table}; allowed: {allowed}")  # fmt: skip


def _withheld(entry: Entry, codes: CodeTables, at: date) -> Iterator[Flaw]:
    """不予共享 needs a law, an administrative regulation or a decision of the State Council (政务数据共享条例)."""
    kinds = frozenset(codes.canonical("CT_BASIS", _WITHHOLDS, at).values())
    titles = codes.titles("CT_BASIS")
    names = "、".join(titles[k] for k in sorted(kinds))

    def lacks(bases: Iterable[Basis]) -> bool:
        return kinds.isdisjoint(b.kind for b in bases)

    if entry.share_type == "none" and lacks(entry.legal_basis):
        yield Flaw(keys=("share_type",), zh=f"不予共享须有 {names} 的依据 legal_basis",
                   en=f"what is not shared needs a legal_basis of the kind {', '.join(sorted(kinds))}")  # fmt: skip
    for i, field in enumerate(entry.fields):
        # the entry's own basis is one for withholding only where the entry is withheld
        bases = (*field.legal_basis, *(entry.legal_basis if entry.share_type == "none" else ()))
        if field.share_type == "none" and lacks(bases):
            yield Flaw(keys=("fields", i), zh=f"字段 {field.name} 不予共享,须有 {names} 的依据 legal_basis",
                       en=f"field {field.name} is not shared: it needs a legal_basis of the kind {', '.join(sorted(kinds))}")  # fmt: skip
