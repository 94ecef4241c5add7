-- The next free turn is taken, and the seconds until it; none where the queue is too long.
INSERT INTO leishu.breakers AS b (platform, next_call_at)
VALUES (:platform, clock_timestamp() + make_interval(secs => :gap))
ON CONFLICT (platform) DO UPDATE
SET next_call_at = greatest(b.next_call_at, clock_timestamp()) + make_interval(secs => :gap)
WHERE coalesce(b.next_call_at, '-infinity') < clock_timestamp() + make_interval(secs => :most)
RETURNING extract(epoch FROM next_call_at - make_interval(secs => :gap) - clock_timestamp())
