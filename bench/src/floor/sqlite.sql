-- Copies of the service's tables with their keys and indexes, without foreign keys;
-- an audit event is one text of its length, and has no index by time.
CREATE TABLE user_secrets (
    domain_id text NOT NULL,
    user_secret_id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    schema_id text,
    provider text,
    tags text NOT NULL,
    search_text text NOT NULL,
    version integer NOT NULL,
    revision integer NOT NULL,
    expires_at bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    position bigint NOT NULL,
    idempotency_key text,
    idempotency_digest blob,
    PRIMARY KEY (domain_id, user_secret_id)
);
CREATE INDEX user_secrets_by_name ON user_secrets (domain_id, user_id, name, position, user_secret_id);
CREATE UNIQUE INDEX user_secrets_by_idempotency_key ON user_secrets (domain_id, user_id, idempotency_key);

CREATE TABLE user_secret_versions (
    domain_id text NOT NULL,
    user_secret_id text NOT NULL,
    version integer NOT NULL,
    kek_version integer NOT NULL,
    dek blob NOT NULL,
    document blob NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (domain_id, user_secret_id, version)
);

CREATE TABLE audit_events (
    domain_id text NOT NULL,
    event_id blob NOT NULL,
    at bigint NOT NULL,
    body text NOT NULL,
    PRIMARY KEY (domain_id, event_id)
);
