#!/usr/bin/env bash
# Installs the servers that the tests start: PostgreSQL with PgBouncer, MariaDB, Redis, on Debian and Ubuntu, without starting a service,
# and the libraries of MongoDB's, which is a wheel. Then fetches Cassandra and MySQL, once, which need Maven, Cassandra Java 17 too.
# Does nothing when all are there. Without root and sudo it says what is missing: an error when CI=true, a note otherwise.
set -eu

missing=()
if ! command -v postgres >/dev/null && ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; then
  missing+=(postgresql)
fi
PATH="$PATH:/usr/sbin:/sbin"
{ command -v mariadbd && command -v mariadb-install-db; } >/dev/null || missing+=(mariadb-server-core)
command -v mariadb >/dev/null || missing+=(mariadb-client-core)
command -v redis-server >/dev/null || missing+=(redis-server)
command -v memcached >/dev/null || missing+=(memcached)
command -v pgbouncer >/dev/null || missing+=(pgbouncer) # stands in front of PostgreSQL
command -v openssl >/dev/null || missing+=(openssl) # certificates of the tests
command -v gdb >/dev/null || missing+=(gdb) # stops a server between two steps
if [ "$(uname -sm)" = 'Linux x86_64' ]; then
  libraries=$(ldconfig -p)
  [[ $libraries == *libcurl.so.4* ]] || missing+=(libcurl4)
  [[ $libraries == *libssl.so.3* ]] || missing+=(libssl3)
fi

cassandra=("$(dirname "$0")/../.venv/bin/python" -m regionkit.testing.servers.kinds.cassandra_install)
read -r -a for_fetching <<<"$("${cassandra[@]}" --missing)"
mysql=("$(dirname "$0")/../.venv/bin/python" -m regionkit.testing.servers.kinds.mysql_install)
mysqld=$(command -v mysqld || true)
[ -z "$mysqld" ] || [[ $("$mysqld" --version) == *MariaDB* ]] || mysql=(true) # one of this machine's own
[ "$(uname -sm)" = 'Linux x86_64' ] || mysql=(true)                         # elsewhere it is a container, or a URL
read -r -a for_mysql <<<"$("${mysql[@]}" --missing)"
for name in "${for_mysql[@]}"; do [[ " ${for_fetching[*]} " == *" $name "* ]] || for_fetching+=("$name"); done
fetch_servers() {
  "${cassandra[@]}" || [ "${CI:-}" != true ] || return 1
  "${mysql[@]}" || [ "${CI:-}" != true ]
}
if [ $((${#missing[@]} + ${#for_fetching[@]})) = 0 ]; then
  fetch_servers
  exit
fi

refuse() {
  echo "install_servers: missing ${missing[*]} ${for_fetching[*]}; $1" >&2
  [ "${CI:-}" != true ] || exit 1
  fetch_servers
  exit
}

command -v apt-get >/dev/null || refuse "there is no apt-get here: install them with this system's own package manager."
as_root=()
if [ "$(id -u)" != 0 ]; then
  # -n: a script must not stop and ask for a password
  sudo -n true 2>/dev/null || refuse "as root, run: apt-get install ${missing[*]} ${for_fetching[*]}"
  as_root=(sudo -n)
fi

# Packages ask this file whether they may start their service; 101 says no.
policy=/usr/sbin/policy-rc.d
cluster=/etc/postgresql-common/createcluster.conf
made=()
clean_up() { [ "${#made[@]}" -eq 0 ] || "${as_root[@]}" rm -f "${made[@]}"; }
trap clean_up EXIT
if [ ! -e "$policy" ]; then
  made+=("$policy")
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
fi
# Keeps the package from making a cluster that nobody asked for; the file stays, as the package's own would.
if [ ! -e "$cluster" ]; then
  "${as_root[@]}" mkdir -p "$(dirname "$cluster")"
  echo 'create_main_cluster = false' | "${as_root[@]}" tee "$cluster" >/dev/null
fi

options=(-o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold)
"${as_root[@]}" apt-get "${options[@]}" update -qq
install_packages() {
  [ $# = 0 ] || "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get "${options[@]}" install -y -qq --no-install-recommends "$@"
}
install_packages "${missing[@]}"
# Not every release of these systems has a Java 17; fetching says so then.
install_packages "${for_fetching[@]}" || true
fetch_servers
