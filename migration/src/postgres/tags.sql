-- Row-level security on user_secret_tags, as in fence.sql.
ALTER TABLE user_secret_tags ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_secret_tags FORCE ROW LEVEL SECURITY;
ALTER TABLE user_secret_tags
    ALTER COLUMN domain_id TYPE text COLLATE "C",
    ALTER COLUMN user_secret_id TYPE text COLLATE "C",
    ALTER COLUMN path TYPE text COLLATE "C",
    ALTER COLUMN kind TYPE text COLLATE "C",
    ALTER COLUMN text TYPE text COLLATE "C";

-- Stores the tags of a new secret, in the statement that creates it; returns how many rows they are.
CREATE FUNCTION usersecret_tag(domain text, id text, tags jsonb) RETURNS int
LANGUAGE plpgsql
AS $$
DECLARE
    stored int;
BEGIN
    PERFORM set_config('usersecret.domain', domain, true);
    INSERT INTO user_secret_tags (domain_id, user_secret_id, path, place, element, kind, text, number)
        SELECT domain, id, r.path, r.place, r.element, r.kind, r.text, r.number
        FROM jsonb_to_recordset(tags)
            AS r (path text, place int, element int, kind text, text text, number float8);
    GET DIAGNOSTICS stored = ROW_COUNT;
    PERFORM set_config('usersecret.domain', '', true);
    RETURN stored;
END $$;
