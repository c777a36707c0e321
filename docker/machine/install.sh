#!/bin/sh
# A clone of the repository in; the bootcamp on this machine out, without containers: Debian 12 or Ubuntu 24.04 and newer.
#
#   sudo docker/machine/install.sh      run it again after git pull: that is the upgrade
#
# It makes /opt/bootcamp (software), /srv/bootcamp (the course), /etc/bootcamp (settings and secrets), /var/lib/bootcamp
# (state), a Unix user and a PostgreSQL role "bootcamp", and the units. What is in /etc/bootcamp already is kept, and the
# clone is only read.
set -eu
umask 022 # students' own users read the software, whatever root's mask is
[ "$(id -u)" = 0 ] || { echo "Run it as root: sudo $0" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
TORCH_PIP=${TORCH_PIP:---index-url https://download.pytorch.org/whl/cpu}

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    python3 python3-venv bubblewrap libseccomp2 postgresql postgresql-client >/dev/null

id -u bootcamp >/dev/null 2>&1 || useradd --system --user-group --home-dir /var/lib/bootcamp --shell /usr/sbin/nologin bootcamp
install -d -m 755 /opt/bootcamp /opt/bootcamp/bin /opt/bootcamp/etc /srv/bootcamp /etc/bootcamp
install -d -m 700 -o bootcamp -g bootcamp /var/lib/bootcamp

# The system's python3: people's Unix users cannot execute one that lies in root's home.
install_room() { # ROOM LOCK...: torch, and what the locks name, by their hashes
    room=/opt/bootcamp/$1
    shift
    [ -x "$room/bin/pip" ] || /usr/bin/python3 -m venv "$room"
    # shellcheck disable=SC2086
    "$room/bin/pip" install -q --no-deps --only-binary :all: $TORCH_PIP torch==2.13.0
    for lock; do "$room/bin/pip" install -q --no-deps --require-hashes --only-binary :all: -r "$source/docker/lock/$lock.txt"; done
}
install_room student student
# Graders finish what they hold; hand-ins wait meanwhile.
[ ! -e /etc/systemd/system/bootcamp-grader.service ] || systemctl stop bootcamp-grader
install_room engine engine hub
# From a copy: a build in the clone would leave files there, and an upgrade would install those that the release has no more.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$source/pyproject.toml" "$source/README.md" "$source/autograder" "$copy/"
/opt/bootcamp/engine/bin/pip install -q --no-deps --no-build-isolation --force-reinstall "$copy"
/opt/bootcamp/student/bin/pip check
/opt/bootcamp/engine/bin/pip check

# The exchange's client for students: the files that the student's image has (docker/Dockerfile), and no more.
rm -rf /opt/bootcamp/student/client
sed -n '/ AS student$/,/^FROM /s#^COPY \(autograder[^/]*/.*\) /opt/client/\(.*\)$#\1 \2#p' "$source/docker/Dockerfile" | while read -r line; do
    set -- $line
    for last; do :; done
    install -d "/opt/bootcamp/student/client/$last"
    while [ $# -gt 1 ]; do
        if [ -d "$source/$1" ]; then cp "$source/$1"/*.py "/opt/bootcamp/student/client/$last/"; else cp "$source/$1" "/opt/bootcamp/student/client/$last/"; fi
        shift
    done
done

for part in assignments solutions release; do
    rm -rf "/srv/bootcamp/$part"
    cp -r "$source/$part" /srv/bootcamp/
done
# Answers and hidden checks are for the graders and instructors, not for every user of the machine.
chown -R root:bootcamp /srv/bootcamp
chmod -R u=rwX,g=rX,o= /srv/bootcamp
install -m 755 "$source/docker/compose/entrypoint" "$here/bootcamp" /opt/bootcamp/bin/
cp -r "$source/docker/common" "$source/docker/student" "$source/docker/instructor" /opt/bootcamp/etc/
install -m 644 "$here/jupyterhub_config.py" /opt/bootcamp/etc/jupyterhub_config.py
[ -e /etc/bootcamp/bootcamp.env ] || install -m 644 "$here/bootcamp.env" /etc/bootcamp/bootcamp.env
[ -e /etc/bootcamp/people.toml ] || install -m 644 "$source/docker/compose/people.toml" /etc/bootcamp/people.toml
# Here the seed is the home's own file (bootcamp init), and PostgreSQL asks for no password.
"$source/docker/compose/secrets.sh" /etc/bootcamp/secrets service_token metrics_token sign_in_password
chmod 400 /etc/bootcamp/secrets/*

systemctl start postgresql
as_postgres() { (cd / && runuser -u postgres -- "$@"); }
as_postgres psql -tAc "SELECT 1 FROM pg_roles WHERE rolname = 'bootcamp'" | grep -q 1 || as_postgres createuser bootcamp
as_postgres psql -tAc "SELECT 1 FROM pg_database WHERE datname = 'bootcamp'" | grep -q 1 ||
    as_postgres createdb -O bootcamp -E UTF8 -T template0 bootcamp

install -m 644 "$here"/bootcamp-*.service "$here"/bootcamp-*.timer /etc/systemd/system/
systemctl daemon-reload
systemctl enable -q bootcamp-hub bootcamp-exchange bootcamp-grader bootcamp-backup.timer
systemctl restart bootcamp-exchange bootcamp-grader bootcamp-hub
systemctl start bootcamp-backup.timer
echo "JupyterHub listens on http://127.0.0.1:8000. Put TLS in front of it, and people into /etc/bootcamp/people.toml: docker/README.md."
