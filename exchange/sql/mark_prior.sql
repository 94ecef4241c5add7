-- What the platform held before this batch, kept with each movement: a late refusal goes back to it.
UPDATE leishu.movements m
SET prior_version = h.version, prior_digest = h.digest, prior_fields = h.fields, prior_state = h.state
FROM leishu.batches b
JOIN leishu.holdings h ON h.platform = b.platform AND h.contract = b.contract
WHERE b.id = :batch AND m.batch = b.id AND m.state = 'waiting' AND h.uid = m.uid
