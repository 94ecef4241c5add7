"""WHETHER records may pass: suites in Great Expectations' JSON, judged in one polars pass."""
