-- The platform holds what was sent, unless it refused it at once.
INSERT INTO leishu.holdings AS h (platform, contract, uid, version, fields, digest, state, batch)
SELECT :platform, :contract, uid, version, fields, digest, CASE op WHEN 'd' THEN 'withdrawn' ELSE 'held' END, batch
FROM leishu.movements WHERE batch = :batch AND state IN ('sent', 'accepted')
ON CONFLICT (platform, contract, uid) DO UPDATE SET version = excluded.version, fields = excluded.fields,
    digest = excluded.digest, state = excluded.state, batch = excluded.batch
