-- Head and entries as of one moment; one row with a null position where there are no entries.
SELECT e.position, e.at, e.kind, e.subject, e.facts, e.prev, e.hash, h.position AS top, h.hash AS top_hash
FROM leishu.head h LEFT JOIN leishu.entries e ON true
WHERE h.one
ORDER BY e.position
