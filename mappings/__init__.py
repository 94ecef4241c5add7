"""HOW one layout becomes another: declared mappings, bound to shapes and applied to batches."""
