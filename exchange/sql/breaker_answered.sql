UPDATE leishu.breakers SET failures = 0, words = NULL, retry_at = CASE WHEN failures < :opens THEN retry_at END
WHERE platform = :platform AND failures > 0
