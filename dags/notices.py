"""通知: every minute, what waits to be told is sent; a channel that does not answer is tried again later."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from exchange.airflow.outcomes import hub
from exchange.airflow.plan import DAG_ARGUMENTS

EVERY = timedelta(seconds=60)


@task
def send() -> dict[str, dict[str, int]]:
    with hub() as opened:
        return {
            s.subscription: {"sent": s.sent, "failed": s.failed, "waiting": s.waiting}
            for s in opened.notices.send()
        }


with DAG("notices", schedule=EVERY, doc_md=__doc__, **DAG_ARGUMENTS):
    send()
