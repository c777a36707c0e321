#!/bin/sh
# Nothing in; docker/compose/secrets/ with one random secret per file out. What is there already stays.
#
#   docker/compose/secrets.sh [FOLDER [NAME...]]      another folder; those secrets alone
#
# The folder is its owner's alone; the files in it can be read by the containers' users, whose numbers are none of the host's.
set -eu
folder=${1:-$(dirname "$0")/secrets}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- database_password course_seed service_token metrics_token grafana_password sign_in_password
umask 077
mkdir -p "$folder"
for name; do
    [ -s "$folder/$name" ] || head -c 36 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_' > "$folder/$name"
done
[ -e "$folder/oauth_client_secret" ] || : > "$folder/oauth_client_secret" # filled in by hand for GitHub, Google or another
chmod 444 "$folder"/*
chmod 700 "$folder"
[ ! -e "$folder/course_seed" ] || echo "$folder/course_seed: keep a copy of it apart."
echo "$folder/sign_in_password: everybody's password for a first try: $(cat "$folder/sign_in_password")"
