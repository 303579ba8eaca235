-- The two roles and the database, made once by an administrator of the server (who may create roles):
--   psql -v ON_ERROR_STOP=1 -v owner_password=… -v service_password=… -f roles.sql
--
-- oncobone_owner owns the tables and brings them up to date; no service runs with it.
-- oncobone is the role of the service; deploy/postgres.sql says what it may do.
CREATE ROLE oncobone_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE ROLE oncobone LOGIN PASSWORD :'service_password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
CREATE DATABASE oncobone OWNER oncobone_owner;
REVOKE ALL ON DATABASE oncobone FROM PUBLIC;
GRANT CONNECT ON DATABASE oncobone TO oncobone;
