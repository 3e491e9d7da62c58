-- Stores many new secrets, each with its first version and its audit event, in one commit; now with providers.
-- They come last and may be left out: a replica of before calls it as it was.
DROP FUNCTION usersecret_create(
    text[], text[], text[], text[], text[], text[], text[], bigint[], bigint[], bigint[], text[], bytea[],
    int[], bytea[], bytea[], bytea[], bytea[], bytea[], bigint[], text[], text[], text[], text[], text[], text[],
    text[], text[], text[], bigint[], bytea[]
);

-- An outcome per place: 'created'; 'taken' when the id or the idempotency key is; 'kek'
-- when the KEK that the data was sealed under is not the one that is stored.
CREATE FUNCTION usersecret_create(
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
                AND k.blob = blobs[i] AND k.binding = bindings[i];
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
