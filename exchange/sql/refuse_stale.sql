-- Refused at once: the copy there stays as it is until the record changes again.
UPDATE leishu.holdings h SET state = 'refused'
FROM leishu.movements m
WHERE m.batch = :batch AND m.state = 'refused'
  AND h.platform = :platform AND h.contract = :contract AND h.uid = m.uid AND h.state = 'stale'
