"""质量评价: every night all records of the register are asked their rules, and copies elsewhere are counted."""

from __future__ import annotations

from airflow.sdk import DAG, CronTriggerTimetable, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS, SHARD, named


@task
def contracts() -> list[str]:
    with hub() as opened:
        return opened.stages.contracts()


@task(map_index_template=SHARD)
def storage(shard: str) -> dict[str, int]:
    (contract,) = named(shard)
    with hub() as opened:
        return {s.platform or "": s.rejected for s in opened.stages.storage(contract)}


@task
def maintenance() -> dict[str, int]:
    with hub() as opened:
        return {f"{s.platform}/{s.contract}": s.rejected for s in opened.stages.maintenance()}


with DAG(
    "stages",
    schedule=CronTriggerTimetable("40 4 * * *", timezone="Asia/Shanghai"),
    doc_md=__doc__,
    **DAG_ARGUMENTS,
):
    storage.expand(shard=contracts())
    maintenance()
