-- The token moves on, so that a worker that has let go cannot confirm.
UPDATE leishu.leases SET token = token + 1, expires_at = '-infinity' WHERE route = :route AND token = :token
