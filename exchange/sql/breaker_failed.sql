-- One more failure in a row; from the :opens-th on, or where seconds were named, nobody calls for a while.
INSERT INTO leishu.breakers AS b (platform, failures, retry_at, words)
VALUES (:platform, 1, clock_timestamp() + make_interval(secs => CAST(:after AS float8)),
        jsonb_build_object('zh', CAST(:zh AS text), 'en', CAST(:en AS text)))
ON CONFLICT (platform) DO UPDATE SET
    failures = b.failures + 1,
    retry_at = greatest(
        b.retry_at, excluded.retry_at,
        CASE WHEN b.failures + 1 >= :opens THEN clock_timestamp() + make_interval(secs => :retry) END),
    words = excluded.words
RETURNING failures
