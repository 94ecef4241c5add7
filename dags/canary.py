"""蜜标: every night synthetic records go through every route; a value where it must not be fails the run."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS


@task
def watch() -> dict[str, int]:
    with hub() as opened:
        return opened.canaries.watch()


with DAG(
    "canary",
    schedule=CronTriggerTimetable("40 3 * * *", timezone="Asia/Shanghai"),
    doc_md=__doc__,
    **DAG_ARGUMENTS,
):
    watch()
