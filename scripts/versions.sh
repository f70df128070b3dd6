#!/usr/bin/env bash
# Runs the suite at the lowest and at the newest version of each driver that pyproject.toml allows. The lowest are read off
# pyproject.toml, and installed on the oldest Python that there is; the newest on the newest. Each set has a venv of its own in
# the cache of the tests. What of the suite: REGIONKIT_VERSIONS=contract (the default: all without a server, and every contract),
# or whole.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=${REGIONKIT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/regionkit}/versions
mkdir -p "$cache"
status=0

python_of() { # the first of these interpreters that is there
  for candidate in "$@"; do
    found=$(command -v "$candidate" || compgen -G "$HOME/.pyenv/versions/${candidate#python}*/bin/python" | head -n 1) || continue
    [ -n "$found" ] && "$found" -c pass 2>/dev/null && { echo "$found"; return; }
  done
  echo "none of $* is here" >&2 && exit 1
}

run() { # name, interpreter, constraints
  local venv=$cache/$1 log=$cache/$1.log
  "$2" -m venv --clear "$venv"
  "$venv/bin/python" -m pip --disable-pip-version-check --no-input -q install -c "$3" -e '.[test,cli]'
  if [ "${REGIONKIT_VERSIONS:-contract}" = whole ]; then what=(tests); else what=(tests/core tests/facts tests/topology tests/routing tests/house tests/backends tests/contract); fi
  REGIONKIT_TWINS=whole scripts/in_memory.sh "$venv/bin/python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup "${what[@]}" >"$log" 2>&1 ||
    { status=1 && grep -aE '^(FAILED|ERROR) tests' "$log" || true; }
  echo "$1, $("$venv/bin/python" -V): $(tail -n 1 "$log" | tr -d =)"
  "$venv/bin/python" -m pip list --format freeze | grep -iE "^($4)==" | tr '\n' ' '
  echo
}

drivers='sqlalchemy|psycopg|asyncpg|pymysql|aiomysql|aiosqlite|redis|pymongo|cassandra-driver|msgspec|tenacity|click|greenlet'
python3 - >"$cache/lowest.txt" <<'END'
import re, pathlib
text = pathlib.Path("pyproject.toml").read_text().partition("[tool.")[0]
seen = {}
for name, low in re.findall(r'"([a-z.-]+)(?:\[[a-z,]+\])?>=([0-9.]+)', text):
    if re.fullmatch(r"sqlalchemy|psycopg|asyncpg|pymysql|aiomysql|aiosqlite|redis|pymongo|cassandra-driver|msgspec|tenacity|click|greenlet", name):
        seen[name] = low
print("\n".join(f"{name}=={low}" for name, low in sorted(seen.items())))
END
: >"$cache/newest.txt"

run lowest "$(python_of python3.11 python3.12 python3.13 python3.14)" "$cache/lowest.txt" "$drivers"
run newest "$(python_of python3.14 python3.13 python3.12 python3.11)" "$cache/newest.txt" "$drivers"
exit $status
