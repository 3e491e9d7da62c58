-- Row-level security on rewraps, and text by code point, as everywhere: see fence.sql.
ALTER TABLE rewraps ENABLE ROW LEVEL SECURITY;
ALTER TABLE rewraps FORCE ROW LEVEL SECURITY;
ALTER TABLE rewraps ALTER COLUMN domain_id TYPE text COLLATE "C";

-- Whether the domain that is set was shredded.
CREATE FUNCTION usersecret_is_shut(domain text) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM domains WHERE domain_id = domain AND shredded_at IS NOT NULL);
END $$;

-- Names the domain for the rest of the transaction, and says whether it is shut: one round trip.
CREATE FUNCTION usersecret_enter(domain text) RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('usersecret.domain', domain, true);
    RETURN usersecret_is_shut(domain);
END $$;

-- The domains in which something waits to be done with keys, with the owner's rights, hence the fixed search path: DEKs
-- that nobody moves, and active KEKs that are older than they may be.
DO $do$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION usersecret_due(older_than bigint) RETURNS SETOF text
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, %1$I, pg_temp
        AS 'SELECT domain_id FROM rewraps WHERE finished_at IS NULL
                AND held_until < (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
            UNION
            SELECT domain_id FROM keks
                WHERE retired_at IS NULL AND destroyed_at IS NULL AND created_at < older_than'
    $f$, current_schema());
END $do$;
REVOKE EXECUTE ON FUNCTION usersecret_due(bigint) FROM PUBLIC;

-- Stores DEKs that were rewrapped under KEK `to_version`, where they are still what they were; returns how many.
CREATE FUNCTION usersecret_rewrap(domain text, to_version int, deks jsonb) RETURNS bigint
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
DECLARE
    stored bigint;
BEGIN
    UPDATE user_secret_versions v SET kek_version = to_version, dek = decode(r.dek, 'hex')
        FROM jsonb_to_recordset(deks) AS r (id text, version int, was text, dek text)
        WHERE v.domain_id = domain AND v.user_secret_id = r.id AND v.version = r.version
            AND v.dek = decode(r.was, 'hex');
    GET DIAGNOSTICS stored = ROW_COUNT;
    RETURN stored;
END $$;

DROP FUNCTION usersecret_find(text[], text[], text[]);

-- The metadata of many secrets, each within its own domain: one round trip for what many requests asked.
-- A place without a row is a secret that is not there; what a shut domain has is not looked at.
CREATE FUNCTION usersecret_find(domains text[], owners text[], ids text[])
RETURNS TABLE (
    place int, user_id text, name text, schema_id text, provider text, tags jsonb,
    version int, revision int, expires_at bigint, created_at bigint, updated_at bigint, shut boolean
)
LANGUAGE plpgsql
-- A plan made while the tables were small must not read them whole when they are large.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        PERFORM set_config('usersecret.domain', domains[i], true);
        place := i;
        PERFORM FROM domains d WHERE d.domain_id = domains[i] AND d.shredded_at IS NOT NULL;
        IF FOUND THEN
            shut := true;
            RETURN NEXT;
            shut := NULL;
            CONTINUE;
        END IF;
        IF owners[i] IS NULL THEN
            RETURN QUERY
                SELECT i, s.user_id, s.name, s.schema_id, s.provider, s.tags,
                    s.version, s.revision, s.expires_at, s.created_at, s.updated_at, false
                FROM user_secrets s
                WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i];
        ELSE
            -- A condition of its own, for the index: another's row must not even be read.
            RETURN QUERY
                SELECT i, s.user_id, s.name, s.schema_id, s.provider, s.tags,
                    s.version, s.revision, s.expires_at, s.created_at, s.updated_at, false
                FROM user_secrets s
                WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i] AND s.user_id = owners[i];
        END IF;
    END LOOP;
    PERFORM set_config('usersecret.domain', '', true);
END $$;

DROP FUNCTION usersecret_reveal(
    text[], text[], text[], int[], bytea[], bigint[], text[], text[], text[], text[], text[], text[], text[], text[], text[],
    bigint[], bytea[], bytea[]
);

-- The sealed data of many secrets with the KEKs that they are sealed under, and in
-- the same commit the audit event of each read. An event without an id is not written, nor is
-- that of a read in a shut domain: its refusal is recorded.
CREATE FUNCTION usersecret_reveal(
    domains text[], owners text[], ids text[], versions int[],
    event_ids bytea[], ats bigint[], writers text[], users text[], roles text[], token_ids text[],
    addresses text[], trace_ids text[], operations text[], targets text[], outcomes text[], counts bigint[],
    digests bytea[], missing_digests bytea[]
)
RETURNS TABLE (
    place int, user_id text, expires_at bigint, version int, kek_version int,
    dek bytea, document bytea, blob bytea, binding bytea, root_version int, shut boolean
)
LANGUAGE plpgsql
-- A plan made while the tables were small must not read them whole when they are large.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    found_one boolean;
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        PERFORM set_config('usersecret.domain', domains[i], true);
        RETURN QUERY
            SELECT i, s.user_id, s.expires_at, v.version, v.kek_version, v.dek, v.document, k.blob, k.binding,
                k.root_version, false
            FROM user_secrets s
            JOIN user_secret_versions v
                ON v.domain_id = s.domain_id AND v.user_secret_id = s.user_secret_id
                AND v.version = coalesce(versions[i], s.version)
            JOIN keks k ON k.domain_id = v.domain_id AND k.version = v.kek_version
            WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i]
                AND (owners[i] IS NULL OR s.user_id = owners[i]);
        found_one := FOUND;
        -- Behind the read: a key that was there before its domain was shut does not leave.
        PERFORM FROM domains d WHERE d.domain_id = domains[i] AND d.shredded_at IS NOT NULL;
        IF FOUND THEN
            place := i;
            shut := true;
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF event_ids[i] IS NOT NULL THEN
            INSERT INTO audit_events (
                domain_id, event_id, at, writer, user_id, role, token_id, address, trace_id,
                operation, target, outcome, count, digest
            ) VALUES (
                domains[i], event_ids[i], ats[i], writers[i], users[i], roles[i], token_ids[i], addresses[i],
                trace_ids[i], operations[i], targets[i],
                CASE WHEN found_one THEN outcomes[i] ELSE 'not_found' END, counts[i],
                CASE WHEN found_one THEN digests[i] ELSE missing_digests[i] END
            );
        END IF;
    END LOOP;
    PERFORM set_config('usersecret.domain', '', true);
END $$;

-- An outcome per place: 'created'; 'taken' when the id or the idempotency key is; 'kek'
-- when the KEK that the data was sealed under is not the one that is active. Its row is locked as the foreign key does:
-- a KEK that is about to be destroyed is waited for, and looked at again.
CREATE OR REPLACE FUNCTION usersecret_create(
    domains text[], ids text[], owners text[], names text[], schema_ids text[], tags text[], search_texts text[],
    expiries bigint[], times bigint[], positions bigint[], idempotency_keys text[], idempotency_digests bytea[],
    kek_versions int[], blobs bytea[], bindings bytea[], deks bytea[], documents bytea[],
    event_ids bytea[], ats bigint[], writers text[], users text[], roles text[], token_ids text[],
    addresses text[], trace_ids text[], operations text[], targets text[], outcomes text[], counts bigint[],
    digests bytea[], providers text[] DEFAULT NULL
)
RETURNS TABLE (place int, outcome text)
LANGUAGE plpgsql
-- A plan made while the tables were small must not read them whole when they are large.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        place := i;
        PERFORM set_config('usersecret.domain', domains[i], true);
        PERFORM FROM keks k
            WHERE k.domain_id = domains[i] AND k.version = kek_versions[i]
                AND k.blob = blobs[i] AND k.binding = bindings[i]
                AND k.retired_at IS NULL AND k.destroyed_at IS NULL
            FOR KEY SHARE;
        IF NOT FOUND THEN
            outcome := 'kek';
            RETURN NEXT;
            CONTINUE;
        END IF;
        INSERT INTO user_secrets (
            domain_id, user_secret_id, user_id, name, schema_id, provider, tags, search_text, version, revision,
            expires_at, created_at, updated_at, position, idempotency_key, idempotency_digest
        ) VALUES (
            domains[i], ids[i], owners[i], names[i], schema_ids[i], providers[i], tags[i]::jsonb, search_texts[i], 1, 1,
            expiries[i], times[i], times[i], positions[i], idempotency_keys[i], idempotency_digests[i]
        ) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            outcome := 'taken';
            RETURN NEXT;
            CONTINUE;
        END IF;
        INSERT INTO user_secret_versions (
            domain_id, user_secret_id, version, kek_version, dek, document, created_at
        ) VALUES (domains[i], ids[i], 1, kek_versions[i], deks[i], documents[i], times[i]);
        IF event_ids[i] IS NOT NULL THEN
            INSERT INTO audit_events (
                domain_id, event_id, at, writer, user_id, role, token_id, address, trace_id,
                operation, target, outcome, count, digest
            ) VALUES (
                domains[i], event_ids[i], ats[i], writers[i], users[i], roles[i], token_ids[i], addresses[i],
                trace_ids[i], operations[i], targets[i], outcomes[i], counts[i], digests[i]
            );
        END IF;
        outcome := 'created';
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('usersecret.domain', '', true);
END $$;
