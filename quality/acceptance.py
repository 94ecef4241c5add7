"""Acceptance (接受): whether somebody stands behind a rule that was proposed; a rule that nobody does gates nothing.

``meta.leishu`` of a proposed rule holds ``accepted``, ``proposal`` (its id, confidence, evidence, why) and
``evidence``, the digest of rule and evidence together; once accepted also ``accepted_by`` and ``accepted_at``. A
rule that somebody wrote by hand has none of these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

Sentence = tuple[str, str]
KEYS = frozenset({"accepted", "accepted_by", "accepted_at", "evidence", "proposal"})


def digest(type: str, kwargs: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    """SHA-256, in hex, of a rule and what was seen of it."""
    facts = {"type": type, "kwargs": dict(kwargs), "evidence": dict(evidence)}
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _instant(text: Any) -> bool:
    try:
        return isinstance(text, str) and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def sealed(type: Any, kwargs: Any, own: Mapping[str, Any]) -> bool:
    """Whether the digest is that of this rule and this evidence."""
    proposal = own.get("proposal")
    if not isinstance(proposal, dict) or not isinstance(proposal.get("evidence"), dict):
        return False
    return isinstance(kwargs, dict) and digest(str(type), kwargs, proposal["evidence"]) == own.get("evidence")


def wrong(given: Mapping[str, Any], own: Mapping[str, Any], *, drafts: bool) -> list[Sentence]:
    """Why this expectation may not be asked. ``drafts``: it gates nothing here, so that nobody need accept it."""
    if not KEYS & own.keys():
        return []
    if own.get("accepted") is not True:
        if drafts:
            return []
        return [("这是提议, 还没有人接受: 用 leishu quality accept 接受后再用",
                 "this is a proposal that nobody has accepted: accept it by leishu quality accept")]  # fmt: skip
    by = own.get("accepted_by")
    if not isinstance(by, str) or not by.strip() or not _instant(own.get("accepted_at")):
        return [("已接受的规则须写明 accepted_by 和 accepted_at(带时区)",
                 "a rule that was accepted names accepted_by and accepted_at, with its offset")]  # fmt: skip
    if not sealed(given.get("type"), given.get("kwargs"), own):
        return [("规则或依据在接受之后改过: 重新提议并接受; 自己写的规则请删去 accepted、accepted_by、accepted_at、evidence、proposal",
                 "the rule or its evidence was changed after it was accepted: propose and accept it anew; a rule of your "
                 "own has no accepted, accepted_by, accepted_at, evidence, proposal")]  # fmt: skip
    return []
