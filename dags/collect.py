"""归集: a DAG a contract family, every 30 seconds: what is new at the platforms comes into the register."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import (
    DAG_ARGUMENTS,
    SHARD,
    changed,
    families,
    named,
    register,
    some,
    two_steps,
)

EVERY = timedelta(seconds=30)


def build(family: str, contracts: Sequence[str]) -> DAG:
    @task
    def due(contract: str) -> list[str]:
        with hub() as opened:
            return opened.due("collect", contract)

    @task(map_index_template=SHARD)
    def fetch(shard: str) -> list[int]:
        routes = named(shard)
        with hub() as opened:
            return some(opened.fetch(routes))

    @task(map_index_template=SHARD, outlets=[register(family)])
    def close(shard: str) -> Any:
        routes = named(shard)
        with hub() as opened:
            return changed(opened.close(routes))

    with DAG(f"collect_{family}", schedule=EVERY, doc_md=__doc__, **DAG_ARGUMENTS) as made:
        two_steps(contracts, due, fetch, close)
    return made


for name, contracts in families().items():
    globals()[f"collect_{name}"] = build(name, contracts)
