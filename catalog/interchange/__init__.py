"""The catalog in other people's forms: bytes or text in, bytes or text out, and nothing else touched."""
