-- Writes audit events that belong to no other row, each within its own domain.
CREATE FUNCTION usersecret_record(
    domains text[], event_ids bytea[], ats bigint[], writers text[], users text[], roles text[], token_ids text[],
    addresses text[], trace_ids text[], operations text[], targets text[], outcomes text[], counts bigint[],
    digests bytea[]
)
RETURNS void
LANGUAGE plpgsql
-- A plan made while the tables were small must not read them whole when they are large.
SET enable_seqscan = off
AS $$
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        PERFORM set_config('usersecret.domain', domains[i], true);
        INSERT INTO audit_events (
            domain_id, event_id, at, writer, user_id, role, token_id, address, trace_id,
            operation, target, outcome, count, digest
        ) VALUES (
            domains[i], event_ids[i], ats[i], writers[i], users[i], roles[i], token_ids[i], addresses[i],
            trace_ids[i], operations[i], targets[i], outcomes[i], counts[i], digests[i]
        );
    END LOOP;
    PERFORM set_config('usersecret.domain', '', true);
END $$;
