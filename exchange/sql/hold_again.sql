-- It took back its late refusal: the platform holds what was sent, unless something was sent since.
INSERT INTO leishu.holdings AS h (platform, contract, uid, version, fields, digest, state, batch)
SELECT :platform, :contract, uid, version, fields, digest, CASE op WHEN 'd' THEN 'withdrawn' ELSE 'held' END, batch
FROM leishu.movements WHERE batch = :batch AND uid = ANY(CAST(:uids AS uuid[]))
ON CONFLICT (platform, contract, uid) DO UPDATE SET version = excluded.version, fields = excluded.fields,
    digest = excluded.digest, state = excluded.state, batch = excluded.batch
WHERE h.batch = excluded.batch
