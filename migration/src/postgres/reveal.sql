-- The sealed data of many secrets with the KEKs that they are sealed under, and in
-- the same commit the audit event of each read. An event without an id is not written.
CREATE FUNCTION usersecret_reveal(
    domains text[], owners text[], ids text[], versions int[],
    event_ids bytea[], ats bigint[], writers text[], users text[], roles text[], token_ids text[],
    addresses text[], trace_ids text[], operations text[], targets text[], outcomes text[], counts bigint[],
    digests bytea[], missing_digests bytea[]
)
RETURNS TABLE (
    place int, user_id text, expires_at bigint, version int, kek_version int,
    dek bytea, document bytea, blob bytea, binding bytea
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
            SELECT i, s.user_id, s.expires_at, v.version, v.kek_version, v.dek, v.document, k.blob, k.binding
            FROM user_secrets s
            JOIN user_secret_versions v
                ON v.domain_id = s.domain_id AND v.user_secret_id = s.user_secret_id
                AND v.version = coalesce(versions[i], s.version)
            JOIN keks k ON k.domain_id = v.domain_id AND k.version = v.kek_version
            WHERE s.domain_id = domains[i] AND s.user_secret_id = ids[i]
                AND (owners[i] IS NULL OR s.user_id = owners[i]);
        found_one := FOUND;
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
