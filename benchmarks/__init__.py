"""What a movement of records costs, beside what it would cost at the least."""

import exchange  # noqa: F401  first of all: it says how Arrow gives memory back
