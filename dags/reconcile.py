"""核对: every night, what platforms really have beside our holdings; what differs is mended."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS, SHARD, named


@task
def due() -> list[str]:
    with hub() as opened:
        return opened.reconciliation.pairs()


@task(map_index_template=SHARD)
def reconcile(shard: str) -> dict[str, Any]:
    (pair,) = named(shard)
    with hub() as opened:
        (found,) = opened.reconciliation.run(only=pair, mend=True)
        return found.numbers()


with DAG(
    "reconcile",
    schedule=CronTriggerTimetable("20 2 * * *", timezone="Asia/Shanghai"),
    doc_md=__doc__,
    **DAG_ARGUMENTS,
):
    reconcile.expand(shard=due())
