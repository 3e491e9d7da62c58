-- Row-level security on every tenant table, for the owner too. Without a policy
-- nobody sees anything; access.sql adds the policies.
DO $$
DECLARE
    name text;
    col text;
BEGIN
    FOREACH name IN ARRAY ARRAY['domains', 'keks', 'user_secrets', 'user_secret_versions', 'audit_events'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        -- Text compares by code point, as it does on SQLite, whatever the database's locale.
        FOR col IN
            SELECT column_name FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = name AND data_type = 'text'
        LOOP
            EXECUTE format('ALTER TABLE %I ALTER COLUMN %I TYPE text COLLATE "C"', name, col);
        END LOOP;
    END LOOP;
END $$;
