-- Makes the owner's and the service's role, or gives them these passwords. Run by an administrator.
DO $$
DECLARE
    part text;
    name text;
BEGIN
    FOREACH part IN ARRAY ARRAY['owner', 'service'] LOOP
        name := current_setting('usersecret.' || part);
        EXECUTE format(
            CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = name)
                THEN 'ALTER ROLE %I LOGIN PASSWORD %L' ELSE 'CREATE ROLE %I LOGIN PASSWORD %L' END,
            name, current_setting('usersecret.' || part || '_password')
        );
    END LOOP;
    EXECUTE format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', current_schema(), current_setting('usersecret.owner'));
END $$;
