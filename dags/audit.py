"""疑点线索: every night the rules across records are asked of the register; what they find waits for people."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS


@task
def look() -> dict[str, dict[str, int]]:
    with hub() as opened:
        return {r.audit: {"asked": r.asked, "found": r.found, "new": r.new} for r in opened.findings.run()}


with DAG(
    "audit",
    schedule=CronTriggerTimetable("10 4 * * *", timezone="Asia/Shanghai"),
    doc_md=__doc__,
    **DAG_ARGUMENTS,
):
    look()
