-- What the service's role may do, and what it sees. Run by the owner, as often as one likes.
DO $$
DECLARE
    service CONSTANT text := current_setting('usersecret.service');
    -- As PostgreSQL spells it. The empty name, which a used connection is left with, is no domain.
    rule CONSTANT text :=
        '(domain_id = NULLIF(current_setting(''usersecret.domain''::text, true), ''''::text))';
    name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN
            RAISE EXCEPTION 'the service''s role % does not exist, and the owner % lacks CREATEROLE to make it',
                service, current_user;
        END IF;
        EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', service, nullif(current_setting('usersecret.password'), ''));
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = service AND (rolsuper OR rolbypassrls))
        OR service = current_user
    THEN
        RAISE EXCEPTION 'the service''s role must be another than the owner''s, and neither superuser nor BYPASSRLS';
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), service);
    EXECUTE format('GRANT SELECT ON seaql_migrations TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT ON domains, keks, audit_events, audit_blocks TO %I', service);
    -- Keys retire and are destroyed, domains are shredded.
    EXECUTE format('GRANT UPDATE (shredded_at, shred_statement, shred_signature) ON domains TO %I', service);
    EXECUTE format('GRANT UPDATE (blob, binding, wraps, retired_at, destroyed_at) ON keks TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON rewraps TO %I', service);
    EXECUTE format('GRANT SELECT ON root_keys TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON audit_writers TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON user_secrets TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, DELETE, UPDATE (kek_version, dek) ON user_secret_versions TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON issuers TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON revoked_tokens TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON domain_changes TO %I', service);
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON user_secret_tags TO %I', service);
    EXECUTE format('GRANT EXECUTE ON FUNCTION usersecret_unsealed(text, bigint) TO %I', service);
    EXECUTE format('GRANT EXECUTE ON FUNCTION usersecret_home(text) TO %I', service);
    EXECUTE format('GRANT EXECUTE ON FUNCTION usersecret_changed(bigint) TO %I', service);
    EXECUTE format('GRANT EXECUTE ON FUNCTION usersecret_due(bigint, bigint, bigint, text, int) TO %I', service);

    FOREACH name IN ARRAY ARRAY[
        'domains', 'keks', 'user_secrets', 'user_secret_versions', 'audit_events',
        'issuers', 'revoked_tokens', 'domain_changes', 'user_secret_tags', 'rewraps'
    ] LOOP
        IF NOT EXISTS (
            SELECT FROM pg_policies
            WHERE schemaname = current_schema() AND tablename = name
                AND policyname = 'service' AND roles = ARRAY[service]::name[]
                AND qual = rule AND with_check IS NULL
        ) THEN
            EXECUTE format('DROP POLICY IF EXISTS service ON %I', name);
            EXECUTE format('CREATE POLICY service ON %I TO %I USING %s', name, service, rule);
        END IF;
        IF NOT EXISTS (
            SELECT FROM pg_policies
            WHERE schemaname = current_schema() AND tablename = name
                AND policyname = 'owner' AND roles = ARRAY[current_user]
        ) THEN
            EXECUTE format('DROP POLICY IF EXISTS owner ON %I', name);
            EXECUTE format('CREATE POLICY owner ON %I TO %I USING (true)', name, current_user);
        END IF;
    END LOOP;
END $$;
