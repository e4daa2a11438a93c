#!/bin/sh
# PostgreSQL's image runs this once, when it makes its files: a role that owns its database, and nothing else, and one
# that may connect to it: `manage migrate --serving-role` gives that one what serving needs.
set -eu

psql --no-psqlrc --set=ON_ERROR_STOP=1 --set=password="$(cat /run/secrets/database_password)" \
    --set=service_password="$(cat /run/secrets/service_password)" --username=postgres --dbname=postgres <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
CREATE DATABASE app OWNER app ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE app FROM PUBLIC;
CREATE ROLE app_service LOGIN PASSWORD :'service_password';
GRANT CONNECT ON DATABASE app TO app_service;
SQL
