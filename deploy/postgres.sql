-- The role that the service uses: it can add to the audit record, and neither change nor delete what stands there.
--
-- 1. As the owner of the database:   ONCOBONE_DATABASE_URL=postgresql://oncobone_owner@…/oncobone oncobone database upgrade
-- 2. As the owner of the database:   psql -v ON_ERROR_STOP=1 -f postgres.sql
-- 3. Give the role a password:       \password oncobone
-- Repeat 1 and 2 before a newer version is started: a service with this role cannot change tables.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'oncobone') THEN
    CREATE ROLE oncobone LOGIN;
  END IF;
END
$$;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM oncobone;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO oncobone;
GRANT SELECT ON alembic_version TO oncobone;
GRANT SELECT, INSERT ON cards, accepted_suggestions, audit_records TO oncobone;
GRANT SELECT, INSERT, UPDATE ON feedback, write_checks TO oncobone;
GRANT SELECT, INSERT, DELETE ON used_tokens TO oncobone;
