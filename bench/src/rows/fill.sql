-- Many secrets after the pattern of a few: the same text on both engines, but for a few words.
--
-- Number k of a domain belongs to ann when it is below {fixed}, else to big when it is even, else to one of a hundred.
INSERT INTO domains (domain_id, created_at)
    WITH RECURSIVE numbers (n) AS (
        SELECT CAST(0 AS bigint) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {domains}
    )
    SELECT 'rows-' || n, 1 FROM numbers;
INSERT INTO keks (domain_id, version, blob, binding, created_at)
    SELECT d.domain_id, k.version, k.blob, k.binding, k.created_at
    FROM keks k, domains d WHERE k.domain_id = '{pattern}' AND d.domain_id <> '{pattern}';

INSERT INTO user_secrets (domain_id, user_secret_id, user_id, name, schema_id, provider, tags, search_text,
        version, revision, created_at, updated_at, position)
    WITH RECURSIVE numbers (n) AS (
        SELECT CAST(0 AS bigint) UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {rows}
    ),
    -- Odd factors modulo 2^48, and an exclusive or with what is shifted: every number gets another, and neighbours part.
    spread AS (
        SELECT n, (n * 412316860417) % 281474976710656 AS id, (n * 274177383037) % 281474976710656 AS name FROM numbers
    ),
    mixed AS (
        SELECT n, ((id | (id / 16777216)) - (id & (id / 16777216))) * 31337 % 281474976710656 AS id,
            ((name | (name / 16777216)) - (name & (name / 16777216))) * 28843 % 281474976710656 AS name
        FROM spread
    ),
    drawn AS (
        SELECT n, n / {domains} AS k, 'rows-' || (n % {domains}) AS domain_id,
            'user-secret-' || {id} AS user_secret_id, 'credential ' || {name} AS name,
            (n / {domains} * 7919) % 20 AS env, (n / {domains} * 104729) % 1000 AS team,
            CASE WHEN n % 10 < 5 THEN 'aws' WHEN n % 10 < 8 THEN 'google_cloud' WHEN n % 10 < 9 THEN 'azure' END AS provider
        FROM mixed
    )
    SELECT domain_id, user_secret_id,
        CASE WHEN k < {fixed} THEN 'ann' WHEN k % 2 = 0 THEN 'big' ELSE 'user ' || (k % 100) END,
        name, 'aws_access_key', provider,
        {json}('{"env":"' || CASE
            WHEN k >= {fixed} AND k < {fixed} + 10 AND k % 2 = 0 THEN 'canary'
            WHEN env < 10 THEN 'prod' WHEN env < 16 THEN 'dev' WHEN env < 19 THEN 'test' ELSE 'stage'
        END || '","team":"team ' || (team * team * 20 / 1000000) || '"}'),
        lower(user_secret_id || {line} || name || {line} || 'aws_access_key' || {line} || coalesce(provider, '')),
        1, 1, 1700000000000000 + n, 1700000000000000 + n, 1700000000000000 + n
    FROM drawn;

INSERT INTO user_secret_versions (domain_id, user_secret_id, version, kek_version, dek, document, created_at)
    SELECT s.domain_id, s.user_secret_id, 1, p.kek_version, p.dek, p.document, s.created_at
    FROM user_secrets s,
        (SELECT * FROM user_secret_versions WHERE domain_id = '{pattern}' LIMIT 1) p
    WHERE s.domain_id <> '{pattern}';

INSERT INTO user_secret_tags (domain_id, user_secret_id, path, place, element, kind, text, number,
        digest, user_id, name, position)
    SELECT s.domain_id, s.user_secret_id, p.path, p.place, p.element, p.kind, p.text, p.number,
        p.digest, s.user_id, s.name, s.position
    FROM user_secrets s
    JOIN user_secret_tags p ON p.domain_id = '{pattern}' AND p.text = s.tags ->> p.path
    WHERE s.domain_id <> '{pattern}';
