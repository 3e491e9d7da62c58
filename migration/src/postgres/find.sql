-- The metadata of many secrets, each within its own domain: one round trip for what many requests asked.
-- A place without a row is a secret that is not there.
CREATE FUNCTION usersecret_find(domains text[], owners text[], ids text[])
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
        RETURN QUERY
            SELECT i, s.user_id, s.name, s.schema_id, s.provider, s.tags,
                s.version, s.revision, s.expires_at, s.created_at, s.updated_at
            FROM user_secrets s
            WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i]
                AND (owners[i] IS NULL OR s.user_id = owners[i]);
    END LOOP;
    PERFORM set_config('usersecret.domain', '', true);
END $$;
