-- How one secret is found: see m0006_lookup.rs. The index there is the one made last: where PostgreSQL takes a
-- domain to have a single secret, all its indexes cost the same and it takes that one, also after a dump was restored,
-- which makes indexes in the order of their names. Others would be read through the whole domain.
-- And so that it does not take them for equal, a domain is said to have a hundred secrets, and a user a tenth of them.
ALTER TABLE user_secrets
    ALTER COLUMN domain_id SET (n_distinct = -0.01),
    ALTER COLUMN user_id SET (n_distinct = 10);
ANALYZE user_secrets;

-- The metadata of many secrets, each within its own domain: one round trip for what many requests asked.
-- A place without a row is a secret that is not there.
CREATE OR REPLACE FUNCTION usersecret_find(domains text[], owners text[], ids text[])
RETURNS TABLE (
    place int, user_id text, name text, schema_id text, provider text, tags jsonb,
    version int, revision int, expires_at bigint, created_at bigint, updated_at bigint
)
LANGUAGE plpgsql
-- A plan made while the tables were small must not read them whole when they are large.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        PERFORM set_config('usersecret.domain', domains[i], true);
        IF owners[i] IS NULL THEN
            RETURN QUERY
                SELECT i, s.user_id, s.name, s.schema_id, s.provider, s.tags,
                    s.version, s.revision, s.expires_at, s.created_at, s.updated_at
                FROM user_secrets s
                WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i];
        ELSE
            -- A condition of its own, for the index: another's row must not even be read.
            RETURN QUERY
                SELECT i, s.user_id, s.name, s.schema_id, s.provider, s.tags,
                    s.version, s.revision, s.expires_at, s.created_at, s.updated_at
                FROM user_secrets s
                WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i] AND s.user_id = owners[i];
        END IF;
    END LOOP;
    PERFORM set_config('usersecret.domain', '', true);
END $$;
