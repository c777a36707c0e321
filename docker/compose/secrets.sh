#!/bin/sh
# Nothing in; docker/compose/secrets/ with one random secret per file out. What is there already stays.
#
# The folder is its owner's alone; the files in it can be read by the containers' users, whose numbers are none of the host's.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
for name in database_password course_seed service_token metrics_token grafana_password sign_in_password; do
    [ -s "$folder/$name" ] || head -c 36 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_' > "$folder/$name"
done
[ -e "$folder/oauth_client_secret" ] || : > "$folder/oauth_client_secret" # filled in by hand for GitHub, Google or another
chmod 444 "$folder"/*
chmod 700 "$folder"
echo "$folder: keep a copy of course_seed apart. Everybody's password for a first try: $(cat "$folder/sign_in_password")"
