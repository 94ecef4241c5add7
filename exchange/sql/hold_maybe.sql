-- Sent once without an answer, then the leave was withdrawn: whether the platform holds it is not known.
INSERT INTO leishu.holdings AS h (platform, contract, uid, version, fields, digest, state, batch)
SELECT :platform, :contract, uid, version, fields, digest, 'maybe', batch
FROM leishu.movements WHERE batch = :batch AND state = 'waiting'
ON CONFLICT (platform, contract, uid) DO UPDATE SET state = 'maybe'
