-- The rows are written anew, by the owner, who has no policy here yet where the table is as new as this.
ALTER TABLE user_secret_tags NO FORCE ROW LEVEL SECURITY;
TRUNCATE user_secret_tags;

-- Text compares by code point, as everywhere: see fence.sql.
ALTER TABLE user_secret_tags
    ALTER COLUMN user_id TYPE text COLLATE "C",
    ALTER COLUMN name TYPE text COLLATE "C";

-- Stores the tags of a new secret, in the statement that creates it; returns how many rows they are.
CREATE OR REPLACE FUNCTION usersecret_tag(domain text, id text, tags jsonb) RETURNS int
LANGUAGE plpgsql
-- A plan made while the tables were small must not read them whole when they are large: that of the foreign key's
-- check, which a session keeps, read all secrets for each tag.
SET enable_seqscan = off
AS $$
DECLARE
    stored int;
BEGIN
    PERFORM set_config('usersecret.domain', domain, true);
    INSERT INTO user_secret_tags (domain_id, user_secret_id, path, place, element, kind, text, number,
            digest, user_id, name, position)
        SELECT domain, id, r.path, r.place, r.element, r.kind, r.text, r.number,
            r.digest, r.user_id, r.name, r.position
        FROM jsonb_to_recordset(tags)
            AS r (path text, place int, element int, kind text, text text, number float8,
                digest bigint, user_id text, name text, position bigint);
    GET DIAGNOSTICS stored = ROW_COUNT;
    PERFORM set_config('usersecret.domain', '', true);
    RETURN stored;
END $$;
