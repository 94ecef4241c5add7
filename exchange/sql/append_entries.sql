-- New entries, the batch's commit and the new head, in one statement: the head is held no longer than that.
WITH added AS (
    INSERT INTO leishu.entries (position, at, kind, subject, facts, prev, hash)
    SELECT position, :at, kind, subject, CAST(facts AS jsonb), prev, hash
    FROM unnest(CAST(:positions AS bigint[]), CAST(:kinds AS text[]), CAST(:subjects AS text[]),
                CAST(:facts AS text[]), CAST(:prevs AS bytea[]), CAST(:hashes AS bytea[]))
         AS new (position, kind, subject, facts, prev, hash)
), committed AS (
    INSERT INTO leishu.commits (batch, position)
    SELECT CAST(:batch AS bigint), :position WHERE CAST(:batch AS bigint) IS NOT NULL
)
UPDATE leishu.head SET position = :position, hash = :hash WHERE one
