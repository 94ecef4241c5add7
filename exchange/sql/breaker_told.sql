INSERT INTO leishu.breakers AS b (platform, next_call_at)
VALUES (:platform, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (platform) DO UPDATE
SET next_call_at = greatest(b.next_call_at, clock_timestamp() + make_interval(secs => :seconds))
