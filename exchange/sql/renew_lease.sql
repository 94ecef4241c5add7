UPDATE leishu.leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE route = :route AND token = :token
