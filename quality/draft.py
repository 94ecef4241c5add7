"""Draft (规则集草稿): proposals as a suite's file, and the rules of it that somebody accepts.

A draft is an ExpectationSuite of Great Expectations that our loader refuses for a route until each rule in it has
been accepted. What is accepted keeps who did, when, and the digest of the rule and its evidence.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from catalog.errors import DeclarationError, Refused
from quality import acceptance
from quality.propose import Proposal
from quality.suite import parse

VERSION = "1.24.1"  # of Great Expectations
LONGEST = 60  # characters of a name


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a draft was made from."""

    name: str  # a file's name or a route
    rows: int
    whole: bool  # all there was, not the first rows
    at: datetime
    terms: str  # of profiling


def drafted(proposals: Sequence[Proposal], *, name: str, source: Source) -> dict[str, Any]:
    """The draft's JSON: no rule in it is accepted."""
    told = {"name": source.name, "rows": source.rows, "whole": source.whole, "at": source.at.isoformat(), "terms": source.terms}  # fmt: skip
    leishu = {"title": f"由 {source.name} 提议的规则, 待接受", "profile": told}
    return {
        "name": name,
        "expectations": [_one(p) for p in proposals],
        "meta": {"great_expectations_version": VERSION, "leishu": leishu},
    }


def _one(made: Proposal) -> dict[str, Any]:
    proposal = {"id": made.id, "confidence": made.confidence, "evidence": made.evidence.to_json(), "why": made.why,
                "why_en": made.why_en}  # fmt: skip
    own = {"severity": made.severity, "title": made.title, "title_en": made.title_en, "dimensions": dict(made.dimensions),
           "accepted": False, "proposal": proposal, "evidence": made.digest}  # fmt: skip
    return {"type": made.type, "kwargs": made.kwargs, "meta": {"leishu": own}}


def text_of(suite: Mapping[str, Any]) -> str:
    """The suite's file, a line a rule."""
    rules = ",\n".join("    " + json.dumps(e, ensure_ascii=False) for e in suite["expectations"])
    rest = {k: v for k, v in suite.items() if k not in ("name", "expectations")}
    tail = "".join(f",\n  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)}" for k, v in rest.items())
    return f'{{\n  "name": {json.dumps(suite["name"], ensure_ascii=False)},\n  "expectations": [\n{rules}\n  ]{tail}\n}}\n'


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """What an acceptance comes to."""

    suite: dict[str, Any]  # its JSON
    ids: tuple[str, ...]  # that are in it now, and were not
    there: tuple[str, ...]  # that it had already


def accept(
    draft: str,
    ids: Collection[str] | None,
    *,
    file: str,
    name: str,
    by: str,
    at: datetime,
    into: str | None = None,
) -> Accepted:
    """The suite ``name`` with these proposals of the draft's text; ``ids`` None: all of them.

    ``into``: the text of the suite that they join. Raises DeclarationError where a file is wrong, Refused where there
    is no such proposal, or the rule or its evidence was changed since it was proposed.
    """
    made, problems = parse(draft, file=file, drafts=True)
    if made is None:
        raise DeclarationError(problems)
    if not by.strip() or len(by) > LONGEST or not by.isprintable():
        raise Refused(
            f"须写明接受人, 至多 {LONGEST} 字", f"name who accepts, {LONGEST} characters at the most"
        )
    found = {_id(e): e for e in json.loads(draft)["expectations"] if _id(e) is not None}
    strange = sorted(set(ids or ()) - {str(i) for i in found})
    if strange or not found:
        listed = "、".join(strange) or "-"
        raise Refused(f"{file} 里没有提议 {listed}", f"{file} has no proposal {listed}")
    chosen = [e for i, e in found.items() if ids is None or i in ids]
    changed = [
        str(_id(e)) for e in chosen if not acceptance.sealed(e["type"], e["kwargs"], e["meta"]["leishu"])
    ]
    if changed:
        raise Refused(
            f"{'、'.join(changed)} 的规则或依据在提议之后改过, 不能接受: 重新提议, 或作为自己写的规则放进规则集",
            f"{', '.join(changed)}: the rule or its evidence was changed since it was proposed: propose it anew, or write "
            "it into a suite as a rule of your own",
        )
    suite: dict[str, Any] = {"name": name, "expectations": [], "meta": {"great_expectations_version": VERSION, "leishu": {"title": name}}}  # fmt: skip
    if into is not None:
        standing, wrong = parse(into, file=f"{name}.json", name=name)
        if standing is None:
            raise DeclarationError(wrong)
        suite = json.loads(into)
    had = [(e["type"], e["kwargs"]) for e in suite["expectations"]]
    new = [e for e in chosen if (e["type"], e["kwargs"]) not in had]
    signed = {"accepted": True, "accepted_by": by.strip(), "accepted_at": at.isoformat()}
    joined = [{**e, "meta": {**e["meta"], "leishu": {**e["meta"]["leishu"], **signed}}} for e in new]
    suite["expectations"] = [*suite["expectations"], *joined]
    return Accepted(
        suite=suite,
        ids=tuple(str(_id(e)) for e in new),
        there=tuple(str(_id(e)) for e in chosen if e not in new),
    )


def _id(one: Mapping[str, Any]) -> str | None:
    proposal = one.get("meta", {}).get("leishu", {}).get("proposal")
    return str(proposal["id"]) if isinstance(proposal, dict) and "id" in proposal else None
