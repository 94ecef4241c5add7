"""The field's expectations as Great Expectations' own classes, over pandas. Importing it registers them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, ClassVar, Literal

import pandas as pd
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
    ColumnMapMetricProvider,
)
from great_expectations.expectations.metrics.map_metric_provider.column_pair_condition_partial import (
    column_pair_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_pair_map_metric_provider import (
    ColumnPairMapMetricProvider,
)
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
    multicolumn_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_map_metric_provider import (
    MulticolumnMapMetricProvider,
)

from catalog.divisions import COUNTRY
from quality.gx import reference
from quality.kind import Known

_ROWS = ("batch_id", "table", "row_condition", "condition_parser")


def _known(as_of: str | None = None) -> Known:
    return reference.shipped_known(date.fromisoformat(as_of) if as_of else reference.today())


def _of_column(metric: str, ask: Callable[..., bool], *keys: str) -> None:
    """A metric on each value of a column; ``ask`` gets the value, then the arguments of these names."""

    class Metric(ColumnMapMetricProvider):
        condition_metric_name = metric
        condition_value_keys = keys

        @column_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls, column: pd.Series, **kwargs: Any) -> pd.Series:
            rest = [kwargs.get(k) for k in keys]
            return column.map(lambda v: ask(v, *rest)).astype(bool)


def _of_pair(metric: str, ask: Callable[..., bool], *keys: str) -> None:
    class Metric(ColumnPairMapMetricProvider):
        condition_metric_name = metric
        condition_domain_keys = (*_ROWS, "column_A", "column_B", "ignore_row_if")
        condition_value_keys = keys

        @column_pair_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls, column_A: pd.Series, column_B: pd.Series, **kwargs: Any) -> pd.Series:
            rest = [kwargs.get(k) for k in keys]
            pairs = zip(column_A, column_B, strict=True)
            return pd.Series([ask(a, b, *rest) for a, b in pairs], index=column_A.index, dtype=bool)


def _of_columns(metric: str, ask: Callable[..., bool]) -> None:
    class Metric(MulticolumnMapMetricProvider):
        condition_metric_name = metric
        condition_domain_keys = (*_ROWS, "column_list", "ignore_row_if")
        condition_value_keys = ()

        @multicolumn_condition_partial(engine=PandasExecutionEngine)
        def _pandas(cls, column_list: pd.DataFrame, **kwargs: Any) -> pd.Series:
            rows = column_list.itertuples(index=False, name=None)
            return pd.Series([ask(*r) for r in rows], index=column_list.index, dtype=bool)


_of_column("column_values.valid_uscc", reference.uscc)
_of_column(
    "column_values.valid_id_number", lambda v, as_of: reference.id_number(v, _known(as_of).day), "as_of"
)
_of_column("column_values.known_address_code", lambda v: reference.address_code(v, _known()))
_of_column("column_values.phone_number", reference.phone)
_of_column("column_values.document_number", reference.document_number)
_of_column("column_values.not_masked", reference.unmasked)
_of_column(
    "column_values.in_code_table",
    lambda v, table, as_of: reference.code_of(v, table, _known(as_of)),
    "code_table",
    "as_of",
)
_of_pair(
    "column_pair_values.division_of_vintage",
    lambda a, b, as_of: reference.division_of(a, int(b), _known(as_of)),
    "as_of",
)
_of_pair(
    "column_pair_values.within_term",
    lambda a, b, days, unit, not_before: reference.Term(
        days=days, unit=unit or "working_days", not_before=not_before is not False
    ).kept(a, b, _known()),
    "days",
    "unit",
    "not_before",
)
_of_columns(
    "coordinates.in_china",
    lambda lon, lat: reference.in_box(float(lon), float(lat), COUNTRY, _known()),
)
_of_columns(
    "coordinates.in_division",
    lambda lon, lat, division: reference.in_box(float(lon), float(lat), division, _known()),
)
_of_columns("dates.not_replaced", reference.stated_itself)


class ExpectColumnValuesToBeValidUscc(ColumnMapExpectation):
    """统一社会信用代码, GB 32100-2015."""

    map_metric: ClassVar[str] = "column_values.valid_uscc"


class ExpectColumnValuesToBeValidIdNumber(ColumnMapExpectation):
    """公民身份号码, GB 11643-1999."""

    as_of: str | None = None
    map_metric: ClassVar[str] = "column_values.valid_id_number"
    success_keys = ("as_of", "mostly")


class ExpectColumnValuesToHaveKnownAddressCode(ColumnMapExpectation):
    """The county in an ID number was one once."""

    map_metric: ClassVar[str] = "column_values.known_address_code"


class ExpectColumnValuesToBePhoneNumber(ColumnMapExpectation):
    """Mobile, landline with area code, 400 or 800."""

    map_metric: ClassVar[str] = "column_values.phone_number"


class ExpectColumnValuesToBeDocumentNumber(ColumnMapExpectation):
    """发文字号."""

    map_metric: ClassVar[str] = "column_values.document_number"


class ExpectColumnValuesToNotBeMasked(ColumnMapExpectation):
    """No value that was masked."""

    map_metric: ClassVar[str] = "column_values.not_masked"


class ExpectColumnValuesToBeInCodeTable(ColumnMapExpectation):
    """A code of the table that is in force on the day."""

    code_table: str
    as_of: str | None = None
    map_metric: ClassVar[str] = "column_values.in_code_table"
    success_keys = ("code_table", "as_of", "mostly")


class ExpectColumnPairValuesToBeDivisionOfVintage(ColumnPairMapExpectation):
    """A division code that was in force in its year."""

    as_of: str | None = None
    ignore_row_if: Literal["either_value_is_missing"] = "either_value_is_missing"
    domain_keys = (*_ROWS, "column_A", "column_B", "ignore_row_if")  # type: ignore[assignment]
    map_metric: ClassVar[str] = "column_pair_values.division_of_vintage"
    success_keys = ("as_of", "mostly")


class ExpectColumnPairValuesToBeWithinTerm(ColumnPairMapExpectation):
    """A within so many days of B."""

    days: int
    unit: Literal["working_days", "days"] = "working_days"
    not_before: bool = True
    ignore_row_if: Literal["either_value_is_missing"] = "either_value_is_missing"
    domain_keys = (*_ROWS, "column_A", "column_B", "ignore_row_if")  # type: ignore[assignment]
    map_metric: ClassVar[str] = "column_pair_values.within_term"
    success_keys = ("days", "unit", "not_before", "mostly")


class ExpectCoordinatesToBeInChina(MulticolumnMapExpectation):
    """Longitude, latitude."""

    ignore_row_if: Literal["any_value_is_missing"] = "any_value_is_missing"
    map_metric: ClassVar[str] = "coordinates.in_china"


class ExpectCoordinatesToBeInDivision(MulticolumnMapExpectation):
    """Longitude, latitude, division."""

    ignore_row_if: Literal["any_value_is_missing"] = "any_value_is_missing"
    map_metric: ClassVar[str] = "coordinates.in_division"


class ExpectDatesToNotBeReplaced(MulticolumnMapExpectation):
    """The day that is stated, the day of entering, the day on which it happened."""

    ignore_row_if: Literal["any_value_is_missing"] = "any_value_is_missing"
    map_metric: ClassVar[str] = "dates.not_replaced"
