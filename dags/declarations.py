"""Declarations that are wrong, all by file and line, where Airflow shows DAG import errors.

Only this file fails to load then: the DAGs of what is sound stay as they are.
"""

from __future__ import annotations

from exchange.airflow.plan import check

check()
