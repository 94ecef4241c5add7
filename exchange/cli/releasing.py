"""Releasing at the command line: a person lets a batch go that the aggregate gate holds."""

from __future__ import annotations

from catalog.errors import say
from exchange.cli import opening, terms_outputs
from exchange.cli.actor import actor
from exchange.cli.task import Answer


def release(decision: str, *, reason: str) -> Answer:
    """Let the batch of this decision go."""
    with opening.opened() as hub:
        made = hub.releases.release(decision, by=actor(), reason=reason)
    return Answer(
        output=terms_outputs.AgreementRelease(released=made),
        words=[
            say(f"决定 {decision} 已放行: 交换任务 {made.route} 的批次 {made.number}, {made.rows} 行; 下次运行时送出",
                f"decision {decision} is released: batch {made.number} of {made.route}, {made.rows} rows; the next run sends it")
        ],
    )  # fmt: skip
