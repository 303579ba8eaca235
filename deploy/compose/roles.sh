#!/bin/sh
# Run by the database's container once, on its empty volume: the roles and the database of ../postgres/roles.sql.
set -eu
psql -v ON_ERROR_STOP=1 --username postgres --dbname postgres \
  -v owner_password="$(cat /run/secrets/owner-password)" \
  -v service_password="$(cat /run/secrets/service-password)" \
  -f /roles.sql
