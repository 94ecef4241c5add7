"""Running the exchange, and proving that it ran."""

import os

# The allocators of Arrow and polars give memory back at once: a quarter of the hub's peak on a million
# records. Both read this when they are first imported, so it is set before.
os.environ.setdefault("MIMALLOC_PURGE_DELAY", "0")
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0")
