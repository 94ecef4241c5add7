"""疑点线索、异常波动、应有与实有: every night the rules across records are asked of the register, and the days that are over are
compared with usual ones; what is found waits for people."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS


@task
def look() -> dict[str, dict[str, int]]:
    with hub() as opened:
        return {r.audit: {"asked": r.asked, "found": r.found, "new": r.new} for r in opened.findings.run()}


@task
def compare() -> int:
    with hub() as opened:
        return len(opened.trends.watch())


@task
def cover() -> dict[str, dict[str, int]]:
    with hub() as opened:
        done = [c for c in opened.coverages.run() if c.unasked is None]
        return {c.denominator: {"expected": c.expected, "present": c.present} for c in done}


with DAG(
    "audit",
    schedule=CronTriggerTimetable("10 4 * * *", timezone="Asia/Shanghai"),
    doc_md=__doc__,
    **DAG_ARGUMENTS,
):
    look()
    compare()
    cover()
