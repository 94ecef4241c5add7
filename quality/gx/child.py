"""The process in which Great Expectations runs.

On standard input: what to ask, as a line of JSON, then the data as an Arrow stream. On standard output, in the
last line: the outcomes. It ends with 3 where its memory does not suffice.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import warnings
from typing import Any

NO_MEMORY = 3


def main() -> None:
    asked = json.loads(sys.stdin.buffer.readline())
    room = asked["mib"] * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    try:
        told = outcomes(asked)
    except MemoryError:
        sys.exit(NO_MEMORY)
    sys.stdout.write("\n" + json.dumps(told, ensure_ascii=False, default=_plain) + "\n")


def outcomes(asked: dict[str, Any]) -> list[dict[str, Any]]:
    """One for each expectation, in their order."""
    import great_expectations
    import pyarrow as pa

    import quality.gx.expectations  # noqa: F401

    with pa.ipc.open_stream(sys.stdin.buffer) as reader:
        frame = reader.read_all().to_pandas(date_as_object=True)
    rows = frame.pop("_row")
    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("here").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    return [_one(great_expectations, batch, one, rows, frame, asked["key"]) for one in asked["expectations"]]


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's, all else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def _raised(info: Any) -> bool:
    """Whether asking failed: what the library tells of it is of one failure, or of each by its metric."""
    parts = [info] if "raised_exception" in info else list(info.values())
    return any(p["raised_exception"] for p in parts)


def _one(
    module: Any, batch: Any, one: dict[str, Any], rows: Any, frame: Any, key: str | None
) -> dict[str, Any]:
    own = (one.get("meta") or {}).get("leishu", {})
    kwargs = one.get("kwargs", {})
    head = {"expectation": one["type"], "kwargs": kwargs, "title": own.get("title", ""), "severity": own.get("severity", "error"),
            "engine": "gx"}  # fmt: skip
    try:
        suite = module.ExpectationSuite(name="one", expectations=[{"type": one["type"], "kwargs": kwargs}])
        result = batch.validate(suite, result_format="COMPLETE").results[0]
    except MemoryError:
        raise
    except Exception as error:
        return {**head, "error": f"{type(error).__name__}: it cannot be loaded"}
    if _raised(result.exception_info):
        return {**head, "error": "Great Expectations raised an exception"}
    found = result.result
    places = found.get("unexpected_index_list") or []
    return {
        **head, "success": bool(result.success), "element_count": found.get("element_count"),
        "unexpected_count": found.get("unexpected_count"), "missing_count": found.get("missing_count"),
        "observed_value": found.get("observed_value"), "unexpected_index": [int(rows[i]) for i in places],
        "unexpected_keys": [frame[key][i] for i in places] if key else [],
    }  # fmt: skip


if __name__ == "__main__":
    main()
