-- When the oldest registered change was committed that the route has not delivered; null: none waits.
-- A change counts until the route has compared it, whether it then concerns the platform or not.
SELECT s.route, changed.at
FROM unnest(CAST(:routes AS text[]), CAST(:contracts AS text[])) AS s (route, contract)
LEFT JOIN leishu.scans n ON n.route = s.route
LEFT JOIN LATERAL (
    -- what is prepared and not sent begins behind its own slice's start
    SELECT split_part(b.before, '.', 1)::bigint AS position, split_part(b.before, '.', 2)::bigint AS ordinal
    FROM leishu.batches b WHERE b.route = s.route AND b.state = 'sending' ORDER BY b.id LIMIT 1
) waiting ON true
LEFT JOIN LATERAL (
    -- a scan that was set back to the beginning: what was delivered still is
    SELECT split_part(b.after, '.', 1)::bigint AS position, split_part(b.after, '.', 2)::bigint AS ordinal
    FROM leishu.batches b
    WHERE n.position = 0 AND b.route = s.route AND b.state IN ('delivered', 'settled') ORDER BY b.id DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT e.at
    FROM leishu.commits c
    JOIN leishu.batches b ON b.id = c.batch
    JOIN leishu.entries e ON e.position = c.position
    WHERE b.contract = s.contract AND coalesce((b.counts ->> 'registered')::bigint, 0) > 0
      AND c.position >= coalesce(waiting.position, last.position, n.position, 0)
      AND (c.position > coalesce(waiting.position, last.position, n.position, 0)
           OR coalesce(waiting.ordinal, last.ordinal, n.ordinal, -1) < 2147483647)
    ORDER BY c.position LIMIT 1
) changed ON true
