# Everything a developer runs here; `make` lists it. A target makes .venv and installs what it needs, once.
# Another interpreter: `make test PYTHON=python3.12`.

.DEFAULT_GOAL := help
.PHONY: help demo check fast test suite campaign-sessions campaign-caching campaign-messaging campaign-transactions campaign-soak campaign-web campaign-write-back redis-versions versions lint twins docs site bench venv core tools
MAKEFLAGS += --no-print-directory
unexport PYTHONDONTWRITEBYTECODE   # else each worker compiles all of it, each time

VENV := .venv
BIN := $(VENV)/bin
HASH := $(shell cksum pyproject.toml | cut -d ' ' -f 1)
CORE := $(VENV)/.core-$(HASH)
TEST := $(VENV)/.test-$(HASH)
PEERS := $(VENV)/.peers-$(HASH)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q
IS_NEW := import sys; sys.exit(sys.version_info < (3, 11))
VERSION := import sys; print(sys.version_info[:2])
WORKERS := 3
SPREAD = -n $(WORKERS) --dist loadgroup   # tests/fix_families.py says what stays together
PYTEST = $(BIN)/python -m pytest $(SPREAD)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 25

demo: core ## three regions on this machine, narrated; needs no server
	@if [ -t 1 ]; then plain=; else plain=--plain; fi; exec $(BIN)/regionkit demo --fast $$plain

check: tools ## linters, types, and the tests that need no server: under a minute
	@$(MAKE) -j 2 --output-sync=target lint fast

fast: WORKERS := 4   # most of these tests wait for nobody but a thread of their own
fast: tools
	@$(PYTEST) -q -m "not server and not slow" --ignore-glob="*_async.py"   # their twins are run

test: tools ## linters, types, twins and the whole test suite, on real servers: under 40 minutes
	@scripts/install_servers.sh
	@$(MAKE) -j 2 lint suite

suite: tools
	@scripts/in_memory.sh $(BIN)/python scripts/suite.py $(SPREAD)   # what fails beside other tests is run once more, alone

campaign-sessions: tools ## 10,000 writes, each read back by another process over lagging replicas
	@REGIONKIT_PAIRS=10000 $(BIN)/python -m pytest -s tests/faults/test_sessions_over_replicas.py

campaign-caching: tools ## caches beside copies that lag by 0, 30, 200 and 1,000 ms, half a minute each
	@REGIONKIT_CACHE_LAGS=0,0.03,0.2,1 REGIONKIT_CACHE_SECONDS=30 $(BIN)/python -m pytest -s tests/caching/test_races.py

campaign-messaging: tools ## consumers killed in every cell, relays under 20,000 events, a poison message among 10,000, 100,000 messages that come twice, late or damaged
	@REGIONKIT_MESSAGING=whole REGIONKIT_OUTBOX_EVENTS=20000 REGIONKIT_POISON_AMONG=10000 REGIONKIT_CHAOS_MESSAGES=100000 $(BIN)/python -m pytest -s \
	  tests/faults/test_consumer_killed.py tests/messaging/test_chaos.py tests/messaging/test_relay_kills.py tests/messaging/test_relay_snapshot.py \
	  tests/cli/test_hospital.py tests/messaging/test_hospital.py tests/messaging/test_hospital_async.py

campaign-transactions: tools ## 100,000 coordinators killed at every step and at random, over each pair of databases
	@REGIONKIT_TRANSACTION_KILLS=100000 REGIONKIT_MYSQL_KILLS=200 $(BIN)/python -m pytest -s tests/faults/test_transactions_killed.py \
		tests/faults/test_transactions_mysql.py tests/faults/test_sqlite_attached_killed.py

campaign-write-back: tools ## 10,000 kills of writers, flushers and the server of a write-back cache; its sink down for 10 minutes at 2,000 puts a second; 50,000 dirty keys
	@REGIONKIT_WRITE_BACK_KILLS=10000 REGIONKIT_WRITE_BACK_DOWN=600 REGIONKIT_WRITE_BACK_KEYS=50000 REGIONKIT_WRITE_BACK_STRIDE=1 \
	  $(BIN)/python -m pytest -s tests/faults/test_write_back_killed.py tests/faults/test_write_back_lost.py

campaign-web: tools ## 5,000 requests of clients that hop between three web applications in three regions
	@REGIONKIT_WEB_REQUESTS=5000 $(BIN)/python -m pytest -s tests/faults/test_web_over_replicas.py

campaign-soak: tools ## 64 threads and 500 tasks while servers are disturbed, REGIONKIT_SOAK_SECONDS long (600)
	@REGIONKIT_SOAK_SECONDS=$${REGIONKIT_SOAK_SECONDS:-600} $(BIN)/python -m pytest -s tests/faults/test_soak.py

versions: ## the contracts at the lowest and the newest version of each driver; REGIONKIT_VERSIONS=whole for all tests
	@scripts/versions.sh

redis-versions: tools ## the redis tests on Redis 6.2 to Valkey 9
	@scripts/redis_versions.sh

lint: tools ## ruff, mypy --strict, and that no twin is stale
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict -p regionkit
	@$(BIN)/python scripts/twins.py --check

twins: tools ## make the sync twins anew from their async sources
	@$(BIN)/python scripts/twins.py

docs: tools ## run every example of README.md and docs/
	@$(BIN)/python -m pytest tests/docs

site: tools ## build the documentation's pages into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: tools ## run the benchmarks, beside the libraries that they compare with
	@[ -e $(PEERS) ] || { $(PIP) install -e '.[bench]' && touch $(PEERS); }
	@$(BIN)/python benchmarks/run.py

venv:
	@python='$(PYTHON)'; \
	if [ -x $(BIN)/python ] && $(BIN)/python -c '$(IS_NEW)'; then \
	  [ -n "$$python" ] || exit 0; \
	  [ "$$($$python 2>/dev/null -c '$(VERSION)')" != "$$($(BIN)/python -c '$(VERSION)')" ] || exit 0; \
	fi; \
	for candidate in $${python:-python3 python3.13 python3.12 python3.11 python3.14}; do \
	  if $$candidate -c '$(IS_NEW)' 2>/dev/null; then exec $$candidate -m venv --clear $(VENV); fi; \
	done; \
	echo "no Python 3.11 or later here as $${python:-python3}. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 1

core: venv
	@[ -e $(CORE) ] || { $(PIP) install -e . && touch $(CORE); }

tools: core
	@[ -e $(TEST) ] || { $(PIP) install -e '.[test]' && touch $(TEST); }
