"""Quality reports: what the rules came to in a batch, made from what is kept of it."""

from __future__ import annotations

from sqlalchemy import select

from catalog.errors import Refused
from exchange import assessments, batches, drifts
from exchange.stores import Stores
from exchange.tables import batches as table
from quality.report import Heading, Report, report


class Reports:
    """The desk of quality reports."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def of(self, batch: str, *, scheme: str = "seven") -> Report:
        """The report of one batch, ``ROUTE/NUMBER`` or its id, under a declared scheme of dimensions.

        Raises Refused where there is no such batch, no such scheme, or nothing was kept of it.
        """
        declared = self._stores.declarations
        dimensions = declared.schemes.get(scheme)
        if dimensions is None:
            known = "、".join(sorted(declared.schemes))
            raise Refused(
                f"没有质量维度体系 {scheme}, 现有 {known}", f"there is no scheme {scheme}; there are {known}"
            )
        route, _, number = batch.rpartition("/")
        wanted = (table.c.route == route) & (table.c.number == number) if route else table.c.id == _id(batch)
        with self._stores.database.transaction() as connection:
            id = connection.execute(select(table.c.id).where(wanted)).scalar()
            if id is None:
                raise _missing(batch)
            one = batches.get(connection, id)
            kept = assessments.of_batch(connection, id)
            left_out = drifts.of_batch(connection, id)
        if not kept:
            raise Refused(
                f"批次 {batch} 没有质量评价: 尚未判定, 或规则没能执行",
                f"nothing was kept of the quality of batch {batch}: it was not judged yet, or no rule could be asked",
            )
        about = next((k.about for k in kept if k.about.suite), kept[0].about)
        platform, contract = declared.platforms.get(one.platform), declared.contracts.get(one.contract)
        heading = Heading(
            batch=one.id, number=one.number, route=one.route, platform=one.platform,
            platform_title=platform.title if platform else one.platform, contract=one.contract,
            contract_title=contract.title if contract else one.contract, suite=about.suite,
            revision=about.revision, outcome=about.outcome, state=one.state,
            why=(one.words["zh"], one.words["en"]) if one.words else None, at=kept[0].at, counts=one.counts,
        )  # fmt: skip
        return report(
            heading,
            [k.assessment for k in kept],
            scheme=scheme,
            title=dimensions.title,
            order=list(dimensions.names),
            left_out=left_out,
        )


def _id(batch: str) -> int:
    if not batch.isascii() or not batch.isdigit():
        raise _missing(batch)
    return int(batch)


def _missing(batch: str) -> Refused:
    return Refused(
        f"没有批次 {batch}: 写 交换任务/批次号, 或 leishu batches 给出的编号",
        f"there is no batch {batch}: write ROUTE/NUMBER, or the id that leishu batches gives",
    )
