-- Takes row-level security off every table that has it.
DO $$
DECLARE
    secured regclass;
BEGIN
    FOR secured IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relrowsecurity LOOP
        EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', secured);
    END LOOP;
END
$$;
