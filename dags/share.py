"""上报、下发、提供: a DAG a contract family, when the register changed and every minute at the least."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from airflow.sdk import DAG, AssetOrTimeSchedule, DeltaTriggerTimetable, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS, SHARD, families, named, register, some, two_steps

EVERY = timedelta(seconds=60)  # grants begin and end, windows open, without any change


def build(family: str, contracts: Sequence[str]) -> DAG:
    @task
    def due(contract: str) -> list[str]:
        with hub() as opened:
            return opened.due("share", contract)

    @task(map_index_template=SHARD)
    def prepare(shard: str) -> list[int]:
        routes = named(shard)
        with hub() as opened:
            return some(opened.prepare(routes))

    @task(map_index_template=SHARD)
    def deliver(shard: str) -> dict[str, dict[str, int]]:
        routes = named(shard)
        with hub() as opened:
            return opened.deliver(routes)

    schedule = AssetOrTimeSchedule(timetable=DeltaTriggerTimetable(EVERY), assets=[register(family)])
    with DAG(f"share_{family}", schedule=schedule, doc_md=__doc__, **DAG_ARGUMENTS) as made:
        two_steps(contracts, due, prepare, deliver)
    return made


for name, contracts in families().items():
    globals()[f"share_{name}"] = build(name, contracts)
