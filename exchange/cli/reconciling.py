"""Reconciling: what platforms really have, beside our holdings."""

from __future__ import annotations

from catalog.errors import say
from exchange.cli import opening, outputs, partners
from exchange.cli.task import Answer, Code, Sheet, WrongUse


def reconcile(*, route: str | None, platform: str | None, mend: bool) -> Answer:
    """Compare, and mend where asked for; counts and record uids, never a value."""
    if route is not None and platform is not None:
        raise WrongUse("--route 与 --platform 只能用一个", "give --route or --platform, not both")
    with opening.opened() as hub:
        if platform is not None:
            partners.known(hub, platform)
        if route is not None:
            partners.route(hub, route)
        found = hub.reconciliation.run(route=route, platform=platform, mend=mend)
    columns = (
        say("平台", "platform"), say("数据标准", "contract"), say("应有", "ours"), say("实有", "theirs"),
        say("缺", "missing"), say("多", "extra"), say("不同", "different"), say("仍有差异", "left"),
        say("说明", "words"),
    )  # fmt: skip
    rows = [
        (r.platform, r.contract, *(str(n) if r.comparable else "-" for n in
         (r.ours, r.theirs, r.missing, r.extra, r.different, r.left)),
         "" if r.comparable else say(r.zh, r.en))
        for r in found
    ]  # fmt: skip
    agrees = all(not r.left for r in found)
    said = [f"{r.platform}/{r.contract}: {', '.join(r.uids)}" for r in found if r.uids]
    if not found:
        said = [say("没有可核对的", "nothing to compare")]
    return Answer(
        output=outputs.Reconcile(mend=mend, compared=found, agrees=agrees),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset(range(2, 8)))] if rows else [],
        words=said,
        code=Code.DONE if agrees else Code.FINDING,
    )
