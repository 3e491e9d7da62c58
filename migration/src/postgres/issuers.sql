-- Row-level security on the tables of m0004, as in fence.sql.
DO $$
DECLARE
    name text;
    col text;
BEGIN
    FOREACH name IN ARRAY ARRAY['issuers', 'revoked_tokens', 'domain_changes'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        FOR col IN
            SELECT column_name FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = name AND data_type = 'text'
        LOOP
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE text COLLATE "C"', name, col);
        END LOOP;
    END LOOP;
END $$;

-- Whom a domain believes, in one round trip: its issuers, then the tokens that it revoked and that have not expired.
CREATE FUNCTION usersecret_policy(domain text, now bigint)
RETURNS TABLE (iss text, settings text, token_id text, binds_systems boolean)
LANGUAGE plpgsql
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('usersecret.domain', domain, true);
    RETURN QUERY
        SELECT i.iss, i.settings, NULL::text, NULL::boolean FROM issuers i WHERE i.domain_id = domain
        UNION ALL
        SELECT NULL, NULL, r.token_id, r.binds_systems FROM revoked_tokens r
            WHERE r.domain_id = domain AND (r.expires_at IS NULL OR r.expires_at > now)
        ORDER BY 1, 3;
    PERFORM set_config('usersecret.domain', '', true);
END $$;

-- What a replica must know before it knows a domain, with the owner's rights, hence the fixed search path:
-- to which domain an issuer belongs, and of which domains it must forget what it remembers. The time of the
-- statement, unlike that of the clock, may stand in an index's condition.
DO $$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION usersecret_home(issuer text) RETURNS text
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, %1$I, pg_temp
        AS 'SELECT domain_id FROM issuers WHERE iss = issuer';

        CREATE FUNCTION usersecret_changed(microseconds bigint) RETURNS SETOF text
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, %1$I, pg_temp
        AS 'SELECT domain_id FROM domain_changes
            WHERE changed_at >= (extract(epoch FROM statement_timestamp()) * 1000000)::bigint - microseconds'
    $f$, current_schema());
END $$;
REVOKE EXECUTE ON FUNCTION usersecret_home(text), usersecret_changed(bigint) FROM PUBLIC;
