-- What each share gave: rows that arrived or may have, taking back left out. As the movements have it.
-- A row that was refused at once never arrived; of a batch that was broken off after an attempt all may have.
SELECT b.id, count(*) FILTER (WHERE m.op <> 'd' AND (
    m.state IN ('waiting', 'sent', 'accepted')
    OR (m.state = 'cancelled' AND o.attempts > 0)
    OR (m.state = 'refused' AND NOT EXISTS (
        SELECT FROM leishu.receipts r
        WHERE r.batch = b.id AND r.uid = m.uid AND r.way = 'answer' AND r.code = ANY(CAST(:no AS text[])))))) AS given
FROM leishu.batches b
LEFT JOIN leishu.movements m ON m.batch = b.id
LEFT JOIN leishu.outbox o ON o.batch = b.id
WHERE b.given IS NOT NULL AND (CAST(:batch AS bigint) IS NULL OR b.id = :batch)
GROUP BY b.id
