-- Where the hub gives the key, a record new to the platform is known there by its uid.
-- Sorted first: else each look-up walks over the rows that this very statement has put in.
INSERT INTO leishu.xref (platform, contract, foreign_key, uid)
SELECT :platform, :contract, m.uid::text, m.uid FROM leishu.movements m
WHERE m.batch = :batch AND m.op <> 'd' AND m.state IN ('sent', 'accepted') AND NOT EXISTS (
    SELECT FROM leishu.xref x WHERE x.platform = :platform AND x.contract = :contract AND x.uid = m.uid)
ORDER BY m.uid
ON CONFLICT DO NOTHING
