-- What the role of the service may do: add to the audit record, and neither change nor delete what stands there.
--
-- 1. An administrator, once:           psql -v ON_ERROR_STOP=1 … -f postgres/roles.sql
-- 2. The owner, before each version:   ONCOBONE_DATABASE_URL=postgresql://oncobone_owner@…/oncobone oncobone database upgrade
-- 3. The owner, after each upgrade:    psql -v ON_ERROR_STOP=1 -f postgres.sql postgresql://oncobone_owner@…/oncobone
--    or, without psql, as one command with 2:  oncobone database upgrade --grant-to oncobone
-- A service with this role cannot change tables, and refuses to start on tables of another version.

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM oncobone;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO oncobone;
GRANT SELECT ON alembic_version TO oncobone;
GRANT SELECT, INSERT ON cards, accepted_suggestions, audit_records TO oncobone;
GRANT SELECT, INSERT, UPDATE ON feedback, write_checks TO oncobone;
GRANT SELECT, INSERT, DELETE ON used_tokens TO oncobone;
