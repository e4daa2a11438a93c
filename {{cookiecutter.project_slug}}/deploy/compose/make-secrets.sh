#!/bin/sh
# Make the secrets of compose.yaml, each random and only if it is missing. The mail server's is given:
#
#     printf '%s\n' 'smtps://user:password@smtp.example.com:465' | deploy/compose/make-secrets.sh
#
# Compose mounts each file into the containers that need it, with the owner and the mode that it has here, and those
# run as other users. So the files are readable, and the folder, which is mounted nowhere, is closed: mode 0700.
set -eu
umask 022
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

random() {
    head -c 48 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n'
}

# Write the standard input to a new file, in one step; a file that is there stays as it is.
new() {
    if [ -e "$1" ]; then
        echo "secrets/$1 is there, and stays." >&2
        cat >/dev/null
        return
    fi
    cat >"$1.new"
    mv "$1.new" "$1"
    echo "secrets/$1 is new." >&2
}

if [ ! -e smtp_url ]; then
    if [ -t 0 ]; then
        echo "The mail server, as smtps://user:password@smtp.example.com:465, and Enter:" >&2
    fi
    read -r smtp_url || true
    case ${smtp_url-} in
    smtp://* | smtps://*) printf '%s\n' "$smtp_url" | new smtp_url ;;
    *)
        echo "Give the mail server on standard input: smtps://user:password@smtp.example.com:465" >&2
        exit 1
        ;;
    esac
fi
random | new secret_key
random | new postgres_password
random | new database_password
random | new service_password
printf 'postgresql://app:%s@database:5432/app\n' "$(cat database_password)" | new owner_url
printf 'postgresql://app_service:%s@database:5432/app\n' "$(cat service_password)" | new database_url
[ -e valkey_auth ] || [ ! -e redis_url ] || { echo "valkey_auth is missing: remove secrets/redis_url" >&2; exit 1; }
printf 'requirepass %s\n' "$(random)" | new valkey_auth
sed -n 's/^requirepass \(.*\)$/redis:\/\/:\1@valkey:6379\/0/p' valkey_auth | new redis_url
