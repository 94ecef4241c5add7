-- Every platform that holds a record, ever got it, or that it is on its way to: its holding, the versions
-- that reached it, and the last movement that is not known to have come to nothing.
WITH moved AS (
    SELECT b.platform, b.route, b.id AS batch, m.op, m.version, m.state,
           coalesce(o.attempts, 0) AS attempts, coalesce(b.settled_at, b.closed_at) AS at
    FROM leishu.movements m
    JOIN leishu.batches b ON b.id = m.batch
    LEFT JOIN leishu.outbox o ON o.batch = b.id
    WHERE m.uid = :uid AND b.contract = :contract AND b.direction IN ('up', 'down', 'across')
), reached AS (
    SELECT * FROM moved
    WHERE state IN ('sent', 'accepted') OR (state IN ('waiting', 'cancelled') AND attempts > 0)
), latest AS (
    SELECT DISTINCT ON (platform) * FROM moved
    WHERE state <> 'cancelled' OR attempts > 0
    ORDER BY platform, batch DESC
), held AS (
    SELECT platform, version, own_version, state FROM leishu.holdings
    WHERE contract = :contract AND uid = :uid
)
SELECT platform, held.state AS held, held.version,
       held.own_version IS NOT NULL AND NOT EXISTS (
           SELECT FROM reached r WHERE r.platform = p.platform AND r.op = 'i') AS own,
       (SELECT array_agg(DISTINCT r.version ORDER BY r.version) FROM reached r
        WHERE r.platform = p.platform AND r.op <> 'd') AS versions,
       latest.route, latest.batch, latest.op, latest.version AS sent, latest.state AS moved,
       coalesce(latest.attempts, 0) AS attempts, latest.at
FROM (SELECT platform FROM held UNION SELECT platform FROM reached
      UNION SELECT platform FROM latest WHERE state IN ('waiting', 'sent')) p
LEFT JOIN held USING (platform)
LEFT JOIN latest USING (platform)
ORDER BY platform
