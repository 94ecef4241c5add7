-- A route's lease, if it is free or has run out; the row stays for good, so that tokens only grow.
INSERT INTO leishu.leases AS l (route, token, holder, expires_at)
VALUES (:route, 1, :holder, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (route) DO UPDATE
SET token = l.token + 1, holder = excluded.holder,
    expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE l.expires_at <= clock_timestamp()
RETURNING token
