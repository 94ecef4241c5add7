"""Bundle: a published month with all that its marks are made of, to be recomputed without the hub.

A zip of JSON: the scorecard and the one of the month before, the weights, every assessment with its results and
record numbers, the rules as they stood, and the ledger's entries that name the assessments and the scorecard.
``recompute`` believes none of it: digests are made anew, the marks are computed from the counts, and the
ledger's entries must name exactly what lies here.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import pyarrow as pa

from catalog.errors import Unreadable
from quality.assessment import Result, Statement, of_results
from quality.scorecard import Scorecard, Tally, Weights, canonical, scorecard

FILES = (
    "assessments.jsonl",
    "former.json",
    "ledger.jsonl",
    "scorecard.json",
    "statements.jsonl",
    "weights.json",
)
MANIFEST = "manifest.json"
MOST_BYTES = 2 * 2**30  # of all files unpacked
_AT = (1980, 1, 1, 0, 0, 0)  # of every file: the same content, the same bytes


@dataclass(frozen=True, kw_only=True)
class Recomputed:
    """What the bundle says, and what came out."""

    month: str
    scheme: str
    version: int
    digest: str  # of the scorecard, as computed here
    bundle: str  # digest of the manifest: the ledger's entry of the export has it too
    assessments: int
    rules: int
    senders: int


def lines(objects: Sequence[Any]) -> bytes:
    """A JSON object a line."""
    return b"".join(canonical(o) + b"\n" for o in objects)


def packed(files: Mapping[str, bytes]) -> tuple[bytes, str]:
    """(the zip, the digest of its manifest); the same files, the same bytes."""
    told = {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}
    manifest = canonical({"leishu": "quality-bundle/1", "files": told})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [(MANIFEST, manifest), *sorted(files.items())]:
            info = zipfile.ZipInfo(name, _AT)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, content)
    return out.getvalue(), hashlib.sha256(manifest).hexdigest()


def recompute(content: bytes) -> tuple[Recomputed, Scorecard]:
    """The month's marks computed anew from the bundle alone. Unreadable where anything in it does not agree."""
    manifest, files = _unpacked(content)
    try:
        stated = msgspec.json.decode(files["scorecard.json"], type=Scorecard)
        weights = msgspec.json.decode(files["weights.json"], type=Weights)
        former = json.loads(files["former.json"])
        statements = {_checked_statement(x).digest: Statement(**x) for x in _lines(files["statements.jsonl"])}
        named = _named(_lines(files["ledger.jsonl"]), stated)
        tallies: list[Tally] = []
        count = 0
        for one in _lines(files["assessments.jsonl"]):
            count += 1
            batch = f"{one['route']}/{one['number']}"
            tallied = _checked_assessment(one, statements, named, batch)
            if batch not in stated.left_out:
                tallies += tallied
    except Unreadable:
        raise
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise _bad(
            f"内容不成形: {type(error).__name__}", f"its content is malformed: {type(error).__name__}"
        ) from None
    if named.total():
        raise _bad(
            f"交换日志里还有 {named.total()} 份质量评价不在包内",
            f"the ledger names {named.total()} assessments that are not in it",
        )
    made = scorecard(
        tallies,
        statements,
        weights,
        month=stated.month,
        former=former,
        left_out=stated.left_out,
        version=stated.version,
    )
    if made != stated:
        where = _differs(asdict(made), asdict(stated))
        raise _bad(
            f"评分表与重算的结果不同: {where}", f"the scorecard differs from what its counts come to: {where}"
        )
    told = Recomputed(
        month=made.month, scheme=made.scheme, version=made.version, digest=made.digest, bundle=manifest,
        assessments=count, rules=len(statements), senders=len(made.rows),
    )  # fmt: skip
    return told, made


def _unpacked(content: bytes) -> tuple[str, dict[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if [i.filename for i in infos] != [MANIFEST, *FILES]:
                raise _bad("文件不全或有多余", "files are missing, or others are in it")
            if sum(i.file_size for i in infos) > MOST_BYTES:
                raise _bad("解开后过大", "it is too large unpacked")
            files = {i.filename: archive.read(i) for i in infos}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError):
        raise _bad("不是完整的 zip", "it is no whole zip") from None
    manifest = files.pop(MANIFEST)
    told = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    if manifest != canonical({"leishu": "quality-bundle/1", "files": told}):
        raise _bad("文件与清单的摘要不符", "a file is not the one that the manifest names")
    return hashlib.sha256(manifest).hexdigest(), files


def _lines(content: bytes) -> list[Any]:
    return [json.loads(line) for line in content.splitlines()]


def _checked_statement(given: Any) -> Statement:
    return Statement(**given)


def _named(entries: Sequence[Any], stated: Scorecard) -> Counter[str]:
    """Digests of the assessments that the ledger names; the scorecard's own must be among the entries."""
    found: Counter[str] = Counter()
    frozen = False
    for entry in entries:
        facts = entry["facts"]
        found.update(facts.get("assessments", {}).values())
        if entry["kind"] == "scorecard_published" and facts["digest"] == stated.digest:
            frozen = facts["month"] == stated.month and facts["scheme"] == stated.scheme
    if not frozen:
        raise _bad("交换日志没有发布过这份评分表", "the ledger did not publish this scorecard")
    return found


def _checked_assessment(
    given: Any, statements: Mapping[str, Statement], named: Counter[str], batch: str
) -> list[Tally]:
    made = [
        Result(
            statement=statements[r["statement"]],
            considered=r["considered"],
            missing=r["missing"],
            bad=pa.array(r["rows"], pa.int64()),
        )
        for r in given["results"]
    ]
    whole = of_results(given["stage"], made, rows=given["rows"], rejected=given["rejected"])
    if not named[whole.digest]:
        raise _bad(
            f"批次 {batch} 的质量评价与交换日志的摘要不符",
            f"the assessment of batch {batch} is not the one that the ledger names",
        )
    named[whole.digest] -= 1
    return [
        Tally(sender=given["sender"], contract=given["contract"], statement=r.statement.digest,
              considered=r.considered, unexpected=r.unexpected)
        for r in made
    ]  # fmt: skip


def _differs(made: Any, stated: Any, where: str = "") -> str:
    """The first place where they do."""
    if isinstance(made, dict) and isinstance(stated, dict):
        return next(
            (
                _differs(made.get(k), stated.get(k), f"{where}.{k}" if where else k)
                for k in made
                if made.get(k) != stated.get(k)
            ),
            where,
        )
    if isinstance(made, (list, tuple)) and isinstance(stated, (list, tuple)) and len(made) == len(stated):
        return next(
            (
                _differs(a, b, f"{where}[{i}]")
                for i, (a, b) in enumerate(zip(made, stated, strict=True))
                if a != b
            ),
            where,
        )
    return where


def _bad(zh: str, en: str) -> Unreadable:
    return Unreadable(f"质量证据包不可信: {zh}", f"the quality bundle is not to be trusted: {en}")
