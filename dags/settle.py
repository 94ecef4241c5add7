"""回执: every 20 seconds, the answers that platforms give late."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS, SHARD, named

EVERY = timedelta(seconds=20)


@task
def due() -> list[str]:
    with hub() as opened:
        return opened.due("settle")


@task(map_index_template=SHARD)
def settle(shard: str) -> dict[str, dict[str, int]]:
    routes = named(shard)
    with hub() as opened:
        return opened.settle(routes)


with DAG("settle", schedule=EVERY, doc_md=__doc__, **DAG_ARGUMENTS):
    settle.expand(shard=due())
