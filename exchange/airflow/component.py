"""One component of Airflow, or any of its commands, in this hub's surroundings.

``python -m exchange.airflow.component scheduler --skip-serve-logs`` is ``airflow scheduler …`` with the
committed configuration of the repo and everything written under ``LEISHU_HOME/var``.
"""

from __future__ import annotations

import importlib
import os
import sys

from exchange.airflow import services
from exchange.settings import Settings

# Tasks and parses are forks: what the parent has imported costs them nothing (a CPU second otherwise).
# Imported only: a polars or Arrow computation here would start threads that no fork has.
PRELOADED = {
    "scheduler": (
        "exchange.hub",
        "adbc_driver_postgresql.dbapi",
        "jsonschema",
        "paramiko",
        "polars",
        "psycopg",
        "pyarrow.compute",
        "requests",
    ),
    "dag-processor": ("exchange.hub",),
}


def main() -> None:
    os.environ.update(services.environment(Settings.read()))
    for module in PRELOADED.get(sys.argv[1] if len(sys.argv) > 1 else "", ()):
        try:
            importlib.import_module(module)
        except Exception as error:  # the task that needs it says it better
            print(f"{module} is not preloaded: {type(error).__name__}", file=sys.stderr)
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"
    airflow()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
