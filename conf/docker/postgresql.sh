#!/bin/sh
# PostgreSQL for compose.postgres.yaml: the first start makes the database and its user.
set -eu
data=/var/lib/postgresql/data
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$data/PG_VERSION" ]; then
    "$bin/initdb" -D "$data" --encoding=UTF8 --auth-local=peer --auth-host=scram-sha-256
    echo "host jabberd jabberd all scram-sha-256" >>"$data/pg_hba.conf"
    "$bin/pg_ctl" -D "$data" -w -o "-c listen_addresses=" start
    "$bin/psql" -v ON_ERROR_STOP=1 -v password="$DATABASE_PASSWORD" -d postgres <<'END'
CREATE USER jabberd PASSWORD :'password';
CREATE DATABASE jabberd OWNER jabberd;
END
    "$bin/pg_ctl" -D "$data" -w stop
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*'
