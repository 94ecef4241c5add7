"""Running the exchange, and proving that it ran."""

import os

# Arrow's allocator gives memory back at once: a quarter of the hub's peak on a million records. Read
# when pyarrow is first imported, so it is set before.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
