CREATE FUNCTION usersecret_refuse() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

CREATE TRIGGER domains_shredded_changed BEFORE UPDATE ON domains
    FOR EACH ROW WHEN (OLD.shredded_at IS NOT NULL)
    EXECUTE FUNCTION usersecret_refuse('a domain that was shredded stays so');
CREATE TRIGGER domains_shredded_deleted BEFORE DELETE ON domains
    FOR EACH ROW WHEN (OLD.shredded_at IS NOT NULL)
    EXECUTE FUNCTION usersecret_refuse('a domain that was shredded stays so');
CREATE TRIGGER keks_destroyed_changed BEFORE UPDATE ON keks
    FOR EACH ROW WHEN (OLD.destroyed_at IS NOT NULL)
    EXECUTE FUNCTION usersecret_refuse('a key that was destroyed stays so');
CREATE TRIGGER keks_destroyed_deleted BEFORE DELETE ON keks
    FOR EACH ROW WHEN (OLD.destroyed_at IS NOT NULL)
    EXECUTE FUNCTION usersecret_refuse('a key that was destroyed stays so');
CREATE TRIGGER keks_retired_changed BEFORE UPDATE ON keks
    FOR EACH ROW WHEN (OLD.retired_at IS NOT NULL AND NEW.retired_at IS DISTINCT FROM OLD.retired_at)
    EXECUTE FUNCTION usersecret_refuse('a key that has retired stays so');

-- By one look-up for each key that is made, which are few.
CREATE FUNCTION usersecret_refuse_key() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF usersecret_is_shut(NEW.domain_id) THEN
        RAISE EXCEPTION 'a domain that was shredded gets no key';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER keks_shredded BEFORE INSERT ON keks FOR EACH ROW EXECUTE FUNCTION usersecret_refuse_key();

DROP FUNCTION usersecret_due(bigint);

-- The next domains, oldest first, in which something waits to be done with keys, behind a place in that order; with the owner's
-- rights, hence the fixed search path: DEKs that nobody moves, and active KEKs that were made before `older_than` and are `age` too old.
DO $do$
BEGIN
    EXECUTE format($f$
        CREATE FUNCTION usersecret_due(older_than bigint, age bigint, since bigint, passed text, most int)
        RETURNS TABLE (domain text, waits_since bigint)
        LANGUAGE sql STABLE SECURITY DEFINER
        SET search_path = pg_catalog, %1$I, pg_temp
        AS 'SELECT domain_id, min(due_at) FROM (
                (SELECT domain_id, started_at AS due_at FROM rewraps
                    WHERE finished_at IS NULL
                        AND held_until < (extract(epoch FROM statement_timestamp()) * 1000000)::bigint
                        AND (started_at, domain_id) > (since, passed)
                    ORDER BY started_at, domain_id LIMIT most)
                UNION ALL
                (SELECT domain_id, created_at + age FROM keks
                    WHERE retired_at IS NULL AND destroyed_at IS NULL AND created_at < older_than
                        AND (created_at, domain_id) > (since - age, passed)
                    ORDER BY created_at, domain_id LIMIT most)
            ) due GROUP BY domain_id ORDER BY 2, 1 LIMIT most'
    $f$, current_schema());
END $do$;
REVOKE EXECUTE ON FUNCTION usersecret_due(bigint, bigint, bigint, text, int) FROM PUBLIC;
