"""维护: every hour, what the hub keeps in order of itself."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS

EVERY = timedelta(hours=1)


@task
def maintain() -> dict[str, int]:
    with hub() as opened:
        return opened.maintain()


with DAG("maintain", schedule=EVERY, doc_md=__doc__, **DAG_ARGUMENTS):
    maintain()
