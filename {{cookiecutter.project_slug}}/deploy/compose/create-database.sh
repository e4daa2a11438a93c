#!/bin/sh
# PostgreSQL's image runs this once, when it makes its files: a role that owns its database, and nothing else.
set -eu

psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$(cat /run/secrets/database_password)" --username=postgres \
    --dbname=postgres <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
CREATE DATABASE app OWNER app ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE app FROM PUBLIC;
SQL
