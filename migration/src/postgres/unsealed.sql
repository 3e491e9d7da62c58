-- What a successor needs of a writer's events, across domains: ids and digests, no metadata.
-- With the owner's rights, hence the fixed search path.
DO $$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION usersecret_unsealed(who text, since bigint)
        RETURNS TABLE (event_id bytea, domain_id text, digest bytea)
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, %I, pg_temp
        AS 'SELECT event_id, domain_id, digest FROM audit_events WHERE at >= since AND writer = who ORDER BY event_id'
    $f$, current_schema());
END $$;
REVOKE EXECUTE ON FUNCTION usersecret_unsealed(text, bigint) FROM PUBLIC;
