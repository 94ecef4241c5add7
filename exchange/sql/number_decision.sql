-- The next number of the day for this batch's decision. Last in its transaction: the day's row is held to the commit.
WITH next AS (
    INSERT INTO leishu.decisions AS d (day, last) VALUES (:day, 1)
    ON CONFLICT (day) DO UPDATE SET last = d.last + 1
    RETURNING last
)
UPDATE leishu.batches SET decision = CAST(:day AS text) || lpad(next.last::text, greatest(6, length(next.last::text)), '0')
FROM next WHERE id = :batch
RETURNING decision
