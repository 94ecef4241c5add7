-- What came after a version that the platform refuses late goes back, if need be, to what stood before it.
UPDATE leishu.movements n
SET prior_version = m.prior_version, prior_digest = m.prior_digest, prior_fields = m.prior_fields,
    prior_state = CASE m.prior_state WHEN 'held' THEN 'refused' ELSE m.prior_state END
FROM leishu.movements m
WHERE m.batch = :batch AND m.uid = ANY(CAST(:uids AS uuid[])) AND n.uid = m.uid
  AND n.state IN ('sent', 'accepted') AND n.prior_version = m.version
  AND n.batch = (
    SELECT min(x.batch) FROM leishu.movements x JOIN leishu.batches b ON b.id = x.batch
    WHERE x.uid = m.uid AND x.batch > :batch AND b.platform = :platform AND b.contract = :contract
      AND x.state IN ('sent', 'accepted', 'refused'))
