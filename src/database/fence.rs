//! The service's role must not be able to look over the fence.

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::failed;
use crate::error::{Error, Result};

/// Every way around row-level security that the catalogue tells of, in words.
const WAYS_AROUND: &str = "
    SELECT 'is or can become a superuser, or has BYPASSRLS or CREATEROLE' AS way FROM pg_roles r
        WHERE (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole) AND pg_has_role(session_user, r.oid, 'MEMBER')
    UNION ALL
    SELECT 'owns table ' || c.relname || ', or can become its owner' FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND pg_has_role(session_user, c.relowner, 'MEMBER')
    UNION ALL
    SELECT 'finds no forced row-level security on table ' || c.relname FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'domain_id'
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
            AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
    UNION ALL
    SELECT 'may change or delete rows of table ' || t.name FROM (VALUES ('audit_events'), ('audit_blocks')) t (name)
        WHERE to_regclass(t.name) IS NOT NULL AND has_table_privilege(session_user, t.name, 'UPDATE, DELETE, TRUNCATE')
    UNION ALL
    SELECT 'sees table ' || p.tablename || ' by the policy ' || p.policyname FROM pg_policies p
        WHERE p.schemaname = current_schema() AND p.policyname <> 'service'
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
