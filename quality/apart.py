"""Apart: Great Expectations itself, in a process of its own, under a limit of time and of memory.

What our engine cannot compile is asked there. The data go to the process through a pipe, so that none of them
lies on a disk; it has an empty folder, nothing of the environment but what names its path and language, and
answers with counts and row numbers. One that is late, too large or dies is an error of each expectation it was
asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope
from catalog.errors import Blocked
from quality.gx.child import NO_MEMORY
from quality.kind import WHOLE
from quality.outcome import Outcome, Read
from quality.rules import Rule, Rules, errored, payload
from quality.survey import Answered, Survey, Tally, survey

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ")
_MEMORY = (NO_MEMORY, -6, -9)  # the child's own word, an abort of its allocator, the kernel's


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the process may take."""

    seconds: float = 300
    mib: int = 4096  # of address space


def outcomes(
    read: Read,
    name: str,
    expectations: Sequence[dict[str, Any]],
    *,
    key: str | None = None,
    limits: Limits | None = None,
) -> list[Outcome]:
    """What each expectation (as a suite's file has it) comes to, by Great Expectations 1.24 on pandas.

    Raises Blocked where the process is late, takes too much, or dies.
    """
    limits = limits or Limits()
    asked = {"expectations": list(expectations), "key": key, "mib": limits.mib}
    told = _run(json.dumps(asked, ensure_ascii=False), read, limits, name)
    return [Outcome(**one) for one in told]


def answered(facts: Survey, rules: Rules, read: Read, *, limits: Limits | None = None) -> Survey:
    """The survey of a slice with what Great Expectations says of the rules that it is asked.

    ``read``: the slice's records from their beginning; tombstones are asked nothing. Raises Blocked where a rule
    cannot be asked, and where the process is late, takes too much, or dies.
    """
    if not rules.apart:
        return facts
    if not facts.rows:
        return replace(facts, answers={r.id: Answered(tally=Tally()) for r in rules.apart})
    needs = sorted(set().union(*(r.needs for r in rules.apart)))

    def alive() -> Iterator[pa.RecordBatch]:
        for batch in read():
            payload(batch.slice(0, 0), needs, rules.suite)  # what is missing is told; no row is converted
            kept = batch.filter(pc.not_equal(batch.column(envelope.OP), envelope.DELETE))
            yield kept.select([envelope.ROW, *needs])

    told = outcomes(alive, rules.suite, [_as_filed(r) for r in rules.apart], limits=limits)
    return replace(
        facts, answers={r.id: _answer(rules.suite, r, o) for r, o in zip(rules.apart, told, strict=True)}
    )


def alone(batch: pa.RecordBatch, rules: Rules) -> Survey:
    """The survey of records that are a slice of their own. Raises Blocked as ``survey`` and ``answered`` do."""
    return answered(survey(batch, rules), rules, lambda: iter([batch]))


def _as_filed(rule: Rule) -> dict[str, Any]:
    one = rule.expectation
    kwargs = dict(one.kwargs)
    if one.condition is not None:
        kwargs["row_condition"] = one.condition
    return {"type": one.type, "kwargs": kwargs}


def _answer(suite: str, rule: Rule, told: Outcome) -> Answered:
    if told.error is not None or told.success is None:
        raise errored(
            suite,
            rule,
            f"Great Expectations 报错 ({told.error})",
            f"Great Expectations failed ({told.error})",
        )
    if rule.kind.apart == WHOLE:
        return Answered(tally=Tally(), holds=told.success)
    asked = (told.element_count or 0) - (told.missing_count or 0)
    bad = tuple(sorted(told.unexpected_index))
    return Answered(tally=Tally(considered=asked, bad=len(bad)), bad=bad, holds=told.success)


def _run(asked: str, read: Read, limits: Limits, name: str) -> list[dict[str, Any]]:
    late = threading.Event()
    with tempfile.TemporaryDirectory(prefix="leishu-gx-") as folder:
        process = _start(folder)

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limits.seconds, stop)
        timer.start()
        try:
            _tell(process, asked, read)
            out, err = process.communicate()
        finally:
            timer.cancel()
            process.kill()
            process.wait()
    if late.is_set():
        raise _stopped(
            name, f"{limits.seconds:g} 秒内没有做完", f"did not finish within {limits.seconds:g} s"
        )
    if process.returncode in _MEMORY or (process.returncode and b"memory" in err.lower()):
        raise _stopped(name, f"内存超过 {limits.mib} MiB", f"took more than {limits.mib} MiB")
    if process.returncode:
        raise _stopped(name, f"退出, 代码 {process.returncode}", f"ended with code {process.returncode}")
    made: list[dict[str, Any]] = json.loads(out.splitlines()[-1])
    return made


def _start(folder: str) -> subprocess.Popen[bytes]:
    environment = {n: os.environ[n] for n in _KEPT if n in os.environ} | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "HOME": folder,
        "TMPDIR": folder,
        "GX_ANALYTICS_ENABLED": "false",
    }
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "quality.gx.child"], stdin=pipe, stdout=pipe, stderr=pipe, cwd=folder, env=environment
    )  # fmt: skip


def _tell(process: subprocess.Popen[bytes], asked: str, read: Read) -> None:
    """The question as one line, then the data as an Arrow stream; a process that ended hears no more of it."""
    assert process.stdin is not None
    writer = None
    batches = read()
    try:
        process.stdin.write(asked.encode() + b"\n")
    except OSError:
        return
    for batch in batches:
        plain = batch.select([n for n in batch.schema.names if n != envelope.OP])
        try:
            writer = writer or pa.ipc.new_stream(process.stdin, plain.schema)
            writer.write_batch(plain)
        except OSError:
            return
    try:
        if writer is not None:
            writer.close()
    except OSError:
        return


def _stopped(name: str, zh: str, en: str) -> Blocked:
    return Blocked(
        f"规则集 {name} 交给 Great Expectations 执行的部分{zh},没有判定就不放行;请减少数据或改写规则",
        f"the part of suite {name} that Great Expectations was asked {en}; what is not judged does not pass: "
        "ask it of less data, or rewrite the rule",
    )
