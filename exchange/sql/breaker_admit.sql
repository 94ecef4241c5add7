-- Who finds the pause over while the breaker is open tries alone: the others wait as long again.
WITH tried AS (
    UPDATE leishu.breakers SET retry_at = clock_timestamp() + make_interval(secs => :retry)
    WHERE platform = :platform AND failures >= :opens AND retry_at <= clock_timestamp()
    RETURNING platform
)
SELECT b.failures, b.words, b.retry_at,
       EXISTS (SELECT FROM tried) OR (b.failures < :opens AND b.retry_at <= clock_timestamp()) AS admitted
FROM leishu.breakers b
WHERE b.platform = :platform AND b.retry_at IS NOT NULL
