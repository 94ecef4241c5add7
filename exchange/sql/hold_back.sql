-- A late refusal: the platform still holds what it held before.
UPDATE leishu.holdings h
SET version = m.prior_version, digest = m.prior_digest, fields = m.prior_fields,
    state = CASE m.prior_state WHEN 'withdrawn' THEN 'withdrawn' ELSE 'refused' END
FROM leishu.movements m
WHERE m.batch = :batch AND m.uid = ANY(CAST(:uids AS uuid[])) AND m.prior_version IS NOT NULL
  AND h.platform = :platform AND h.contract = :contract AND h.uid = m.uid AND h.batch = m.batch
