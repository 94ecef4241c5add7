"""What the DAG files are built from: the families, and the order of work inside a run.

In both ways a family's contracts take two steps each, one task a shard and step. The first step
(fetch, prepare) goes from the contracts that refer to those that they refer to, the second (close,
deliver) the other way round. So whatever a report names is read after the report, and is there
before it: a record that arrives between two steps refers to nothing that is still missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import Asset, TriggerRule, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from catalog.errors import DeclarationError, say

START: Final = datetime(2025, 1, 1, tzinfo=UTC)
DAG_ARGUMENTS: Final[Mapping[str, Any]] = {
    "start_date": START,
    "catchup": False,
    "max_active_runs": 1,
    "tags": ["leishu"],
    "default_args": {
        "owner": "leishu",
        # Only Unavailable is ever retried (outcomes.py), and soon: the rest of the run waits for it.
        # What is down for longer, the next run finds.
        "retries": 1,
        "retry_delay": timedelta(seconds=4),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(seconds=60),
    },
}
SHARD: Final = "{{ shard }}"  # map_index_template of every mapped task: named() sets it
CHANGES: Final = frozenset({"registered", "superseded", "conflicted"})  # counts that make work for a share


def families() -> Mapping[str, Sequence[str]]:
    """Family to contracts, in order of reference: of the declarations that are sound."""
    from exchange import hub

    return hub.families()


def check() -> None:
    """Raise DeclarationError with all problems by file and line, if there is any."""
    from exchange import hub

    problems = hub.problems()
    if problems:
        raise DeclarationError(problems)


def register(family: str) -> Asset:
    """The family's part of the register (归集库): shares start when a close says that it changed.

    Named outright: an AssetAlias, resolved by several mapped tasks at once, fails one of them (3.3.2).
    """
    return Asset(name=f"register_{family}", uri=f"leishu://register/{family}")


def named(shard: str) -> list[str]:
    """The routes of a shard; the task's mapped instance is shown under their names from here on."""
    routes = shard.split(",")
    more = f" +{len(routes) - 1}" if len(routes) > 1 else ""
    get_current_context()["shard"] = routes[0] + more  # type: ignore[typeddict-unknown-key]
    return routes


def some(batches: list[int]) -> list[int]:
    """The batches; with none the task is skipped, and its second step with it, at no cost."""
    if not batches:
        raise AirflowSkipException(say("没有新数据", "nothing new"))
    return batches


def changed(counts: Mapping[str, Mapping[str, int]]) -> Mapping[str, Mapping[str, int]]:
    """The counts of a close, route by route; where the register stayed as it was the task is skipped.

    A skipped task announces no change of its outlets, so that no share starts for nothing.
    """
    if not any(terms.get(name, 0) for terms in counts.values() for name in CHANGES):
        raise AirflowSkipException(
            say(f"归集库没有变化: {counts}", f"the register stays as it was: {counts}")
        )
    return counts


@task(trigger_rule=TriggerRule.ONE_FAILED, retries=0)
def failures() -> None:
    """Ends the run as failed where any shard failed; the others ran to their end all the same."""
    raise AirflowFailException(
        say("本次有分片失败: 见红色任务的日志", "a shard of this run failed: see the log of the red tasks")
    )


def two_steps(contracts: Iterable[str], due: Any, first: Any, second: Any) -> None:
    """Wire a run inside the DAG at hand: ``due`` a contract, ``first`` and ``second`` a shard.

    Three tasks: ``due(contract)`` gives the shards, the others take one. A shard that fails, or has
    nothing to do, stops no other; the run fails in the end if one did.
    """
    firsts: list[Any] = []
    seconds: list[Any] = []

    @task_group
    def steps(shard: str) -> None:
        firsts.append(first(shard))
        seconds.append(second(shard))
        firsts[-1] >> seconds[-1]

    shards = []
    for contract in contracts:
        shards.append(due.override(task_id=f"due_{contract}")(contract))
        steps.override(group_id=contract).expand(shard=shards[-1])
    _in_turn(firsts[::-1])
    _in_turn(seconds)
    [*shards, *firsts, *seconds] >> failures()


def _in_turn(steps: list[Any]) -> None:
    """Each after the one before has ended, however it ended. The joints between are never run."""
    for before, after in pairwise(steps):
        joint = EmptyOperator(task_id=f"after_{_id(before)}", trigger_rule=TriggerRule.ALL_DONE)
        before >> joint >> after


def _id(step: Any) -> str:
    return str(step.operator.task_id).replace(".", "_")
