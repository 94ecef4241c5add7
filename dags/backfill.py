"""补数: every night the day before is read again, for what its platforms committed late; any day by a backfill.

``airflow backfill create --dag-id backfill --from-date 2026-01-01 --to-date 2026-01-31`` reads a month again,
a run a day, beside the live routes; ``--dag-run-conf '{"routes": "a.collect,b.collect"}'`` of these routes alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, get_current_context, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS, SHARD, named


@task
def due() -> list[str]:
    asked = (get_current_context()["dag_run"].conf or {}).get("routes", "")
    with hub() as opened:
        timed = opened.backfills.by_day()
    return [r for r in timed if not asked or r in asked.split(",")]


@task(map_index_template=SHARD)
def again(shard: str) -> dict[str, Any]:
    (route,) = named(shard)
    end = get_current_context()["data_interval_end"]
    assert end is not None
    with hub() as opened:
        return opened.backfills.day(route, (end - timedelta(seconds=1)), by="airflow")


with DAG(
    "backfill",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="Asia/Shanghai"),
    doc_md=__doc__,
    **DAG_ARGUMENTS,
):
    again.expand(shard=due())
