-- A late refusal of a record that was new to the platform: it holds nothing.
DELETE FROM leishu.holdings h
USING leishu.movements m
WHERE m.batch = :batch AND m.uid = ANY(CAST(:uids AS uuid[])) AND m.prior_version IS NULL
  AND h.platform = :platform AND h.contract = :contract AND h.uid = m.uid AND h.batch = m.batch
