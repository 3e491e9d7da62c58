//! The service's role must not be able to look over the fence.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::failed;
use crate::error::{Error, Result};

/// Every way around row-level security that the catalogue tells of, in words.
const WAYS_AROUND: &str = "
    WITH fenced AS (
        SELECT c.* FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'domain_id'
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    )
    SELECT 'is or can become a superuser, or has BYPASSRLS, CREATEROLE, REPLICATION or the server''s files' AS way
        FROM pg_roles r
        WHERE (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolreplication OR r.rolname IN
                ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
            AND pg_has_role(session_user, r.oid, 'MEMBER')
    UNION ALL
    SELECT 'owns table ' || c.relname || ', or can become its owner' FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND pg_has_role(session_user, c.relowner, 'MEMBER')
    UNION ALL
    SELECT 'finds no forced row-level security on table ' || t.relname FROM fenced t
        WHERE NOT (t.relrowsecurity AND t.relforcerowsecurity)
    UNION ALL
    SELECT 'may change or delete rows of table ' || t.name FROM (VALUES ('audit_events'), ('audit_blocks')) t (name)
        WHERE to_regclass(t.name) IS NOT NULL AND (has_table_privilege(session_user, t.name, 'DELETE, TRUNCATE')
            OR has_any_column_privilege(session_user, t.name, 'UPDATE'))
    UNION ALL
    SELECT 'may truncate table ' || t.relname || ' or set a trigger on it' FROM fenced t
        WHERE has_table_privilege(session_user, t.oid, 'TRUNCATE, TRIGGER')
    UNION ALL
    SELECT 'sees table ' || t.relname || ' by the view ' || v.relname FROM fenced t
        JOIN pg_depend d ON d.refobjid = t.oid AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite w ON w.oid = d.objid
        JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
        WHERE has_any_column_privilege(session_user, v.oid, 'SELECT')
            AND NOT coalesce(v.reloptions && '{security_invoker=true,security_invoker=on}', false)
    UNION ALL
    SELECT 'runs function ' || p.proname || ' with the rights of the owner of table ' || t.relname FROM fenced t
        JOIN pg_proc p ON p.proowner = t.relowner AND p.prosecdef
            AND p.proname NOT IN ('usersecret_unsealed', 'usersecret_home', 'usersecret_changed', 'usersecret_due')
        WHERE has_function_privilege(session_user, p.oid, 'EXECUTE')
    UNION ALL
    SELECT 'sees table ' || p.tablename || ' by the policy ' || p.policyname FROM pg_policies p
        WHERE p.schemaname = current_schema() AND p.permissive = 'PERMISSIVE'
            AND (p.policyname <> 'service' OR p.with_check IS NOT NULL OR p.qual <>
                '(domain_id = NULLIF(current_setting(''usersecret.domain''::text, true), ''''::text))')
            AND EXISTS (SELECT FROM unnest(p.roles) n WHERE n = 'public'
                OR pg_has_role(session_user, (SELECT oid FROM pg_roles WHERE rolname = n), 'MEMBER'))";

/// Refuses a role that owns tables, or is superuser, or may become either.
pub(super) async fn refuse_a_role_that_could_bypass(pool: &DatabaseConnection) -> Result<()> {
    let question = Statement::from_string(pool.get_database_backend(), WAYS_AROUND);
    match pool.query_one_raw(question).await.map_err(failed)? {
        None => Ok(()),
        Some(row) => {
            let way: String = row.try_get("", "way").map_err(failed)?;
            Err(Error::internal(format!(
                "database.url: the role {way}; it could see across domains"
            )))
        }
    }
}
