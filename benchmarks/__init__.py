"""What a movement of records costs, beside what it would cost at the least."""
