-- Copies of the service's tables with their keys and indexes; an audit event is one
-- text of its length, and has no index by time. Foreign keys and row-level
-- security are left out: what they cost is the service's.
CREATE TABLE user_secrets (
    domain_id text NOT NULL,
    user_secret_id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    schema_id text,
    provider text,
    tags jsonb NOT NULL,
    search_text text NOT NULL,
    version integer NOT NULL,
    revision integer NOT NULL,
    expires_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    position bigint NOT NULL,
    idempotency_key text,
    idempotency_digest bytea,
    PRIMARY KEY (domain_id, user_secret_id)
);
CREATE INDEX user_secrets_by_name ON user_secrets (domain_id, user_id, name, position, user_secret_id);
CREATE UNIQUE INDEX user_secrets_by_idempotency_key ON user_secrets (domain_id, user_id, idempotency_key);

CREATE TABLE user_secret_versions (
    domain_id text NOT NULL,
    user_secret_id text NOT NULL,
    version integer NOT NULL,
    kek_version integer NOT NULL,
    dek bytea NOT NULL,
    document bytea NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (domain_id, user_secret_id, version)
);

CREATE TABLE audit_events (
    domain_id text NOT NULL,
    event_id uuid NOT NULL,
    at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (domain_id, event_id)
);

-- Four domains with 96 secrets each. Ids are digits, because pgbench makes numbers only.
INSERT INTO user_secrets
SELECT (1000000 + n % 4)::text, (100000000000000000 + n)::text, 'ann', 'credential ' || n, 'aws_access_key', NULL,
    '{"env": "bench", "team": "storage"}', 'credential aws_access_key', 1, 1, NULL,
    1700000000000000 + n, 1700000000000000 + n, n, NULL, NULL
FROM generate_series(0, 383) AS n;

VACUUM ANALYZE;
