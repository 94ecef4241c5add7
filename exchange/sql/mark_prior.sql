-- What the platform held before this batch, kept with each movement: a late refusal goes back to it.
-- One look-up by key a row: a join would read all holdings while the statistics lag behind a load.
UPDATE leishu.movements m
SET (prior_version, prior_digest, prior_fields, prior_state) = (
    SELECT h.version, h.digest, h.fields, h.state FROM leishu.holdings h
    WHERE h.platform = :platform AND h.contract = :contract AND h.uid = m.uid)
WHERE m.batch = :batch AND m.state = 'waiting'
