# Every target sets up what it needs. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
NPM := $(shell command -v npm)
NPM_INSTALLED := node_modules/.package-lock.json

# What was compiled is kept, whatever the environment says: each worker reads a thousand modules of tests, and hundreds of
# tests start a gateway. Compiling all of that each time takes minutes.
unexport PYTHONDONTWRITEBYTECODE

# Settings of single targets: make run CONFIG=other.toml, make test ARGS="tests/session -x", make lock LOCK=--upgrade
CONFIG ?= gateway.toml
ARGS ?=
LOCK ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What installs into .venv, with the options that follow: its own pip, or uv where it was made without one.
HAS_UV = command -v uv >/dev/null
INSTALL = if $(BIN)/python -m pip --version >/dev/null 2>&1; \
  then set -- $(BIN)/python -m pip install --quiet --disable-pip-version-check; \
  else set -- uv pip install --quiet --python $(BIN)/python; fi; "$$@"

.PHONY: setup
setup: $(INSTALLED) ## Install everything into .venv, by hash (once, and again when the lock changes)

# The stamp is newer than the lock and the metadata that it was installed from.
$(INSTALLED): requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: '$(PYTHON)' was not found. The gateway needs Python 3.11" \
	  "or later: install it, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: '$(PYTHON)' is" \
	  "$$($(PYTHON) --version 2>&1). The gateway needs Python 3.11 or later: install it, or name it:" \
	  "make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { $(BIN)/python -c '' 2>/dev/null && $(HAS_UV); } \
	  || { $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null && $(PYTHON) -m venv --clear $(VENV); } \
	  || { $(HAS_UV) && uv venv --quiet --clear --python $(PYTHON) $(VENV); } \
	  || { echo "error: '$(PYTHON)' can't make a virtual environment. On Debian and Ubuntu: apt install python3-venv" \
	  "(or install uv), then again: make $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing the locked packages into $(VENV)"
	@$(INSTALL) --require-hashes --only-binary :all: --requirement requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# Packages from npm: a linter for the protos and a charger for the peer tests. Without npm both are left out, and said so.
.PHONY: peers
peers: $(if $(NPM),$(NPM_INSTALLED))
	@$(if $(NPM),:,echo "npm was not found: tests with chargers from npm are skipped")

$(NPM_INSTALLED): package.json package-lock.json .npmrc
	@echo "Installing the locked packages into node_modules"
	@npm ci --loglevel=error >/dev/null
	@touch $@

.PHONY: demo
demo: setup ## Show the main job: a gateway, simulated chargers, a start, a limit, a stop, the energy
	@$(BIN)/gateway demo

.PHONY: night
night: setup ## Play a night of charging by price, in half a minute (examples/night); draws night.svg
	@$(BIN)/python -m examples.night

.PHONY: run
run: setup $(CONFIG) ## Run the gateway with gateway.toml, made for trying it out if it isn't there (make run CONFIG=...)
	@$(BIN)/gateway serve --config $(CONFIG)

# Other settings are the operator's to make; those that are there are taken as they are.
ifneq ($(CONFIG),gateway.toml)
$(CONFIG):
	@echo "error: there are no settings $@ (CONFIG): gateway example-config > $@ makes some to edit" >&2; exit 1
endif

# Settings to try the gateway with: all defaults, and certificates from a development CA. Yours to edit.
gateway.toml: | $(INSTALLED)
	@test -e certs/ca.pem || $(BIN)/gateway certs dev --directory certs
	@$(BIN)/gateway example-config >$@
	@echo "gateway.toml and certs/ were made for trying the gateway out: chargers need certs/ca.pem to trust it"

# Of the test that counts instructions. Installed where that takes no password; else the test is skipped, and says so.
.PHONY: valgrind
valgrind:
	@command -v valgrind >/dev/null || scripts/install-tool valgrind "instructions are not counted"

# Of the test that scans TLS, likewise.
.PHONY: sslscan
sslscan:
	@command -v sslscan >/dev/null || scripts/install-tool sslscan "TLS is not scanned"

.PHONY: promtool
promtool:
	@command -v promtool >/dev/null || scripts/install-tool prometheus "alert rules are not checked"

# A worker more than there are cores, five at most: some of the tests wait for a process or a socket most of their time,
# and each starts gateways and fleets beside it. The tests of a file stay together, and the files in their order: by the
# number of tests, pytest-xdist's own order, the longest would begin last.
WORKERS := $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 4 ? cores + 1 : 5)))
SPREAD = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup peers valgrind sslscan promtool ## Run the tests on all cores (make test ARGS="tests/session -x", ARGS="-n 0 ..." on one)
	@$(BIN)/python -m pytest -q -rs --durations=10 $(SPREAD) $(ARGS)

# Of the store on PostgreSQL, likewise.
.PHONY: postgresql
postgresql:
	@compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null \
	  || scripts/install-tool postgresql "the store on PostgreSQL is not tested"

# A server for each worker, in a folder of its own, for as long as the tests take.
.PHONY: test-postgres
test-postgres: setup postgresql ## Run the tests of the store on PostgreSQL, which `make test` leaves out
	@$(BIN)/python -m pytest -q -rs --durations=10 $(SPREAD) --stores postgres $(or $(ARGS),tests/store tests/endtoend)

# Gateways as processes, killed, stopped, woken, cut off and upgraded, and the death of the primary. Two files at a time,
# whatever cores there are: they wait most of their time.
.PHONY: test-cluster
test-cluster: setup postgresql ## Run several gateways on one PostgreSQL with standbys and three NATS servers, with all of them killed
	@$(BIN)/python -m pytest -q -rs --durations=10 -n 2 --dist loadfile --stores postgres $(or $(ARGS),tests/cluster)

# Two thousand sessions for each node: some minutes on two idle cores, so that CI runs the same with sixty (test-cluster).
RESTART_SESSIONS ?= 2000
.PHONY: test-restarts
test-restarts: setup postgresql ## Restart a gateway on one port that outlives it, and three nodes, under 2,000 sessions each
	@RESTART_SESSIONS=$(RESTART_SESSIONS) $(BIN)/python -m pytest -q -rs -s --stores postgres tests/cluster/test_restarts.py $(ARGS)

# Left out is what a tracer would change: calls, instructions, memory, which objects a connection leaves behind, what an
# attack costs others, signals within milliseconds of a start; the tests of a tracer; those of bench/, which is not
# measured; and the checks of the repository itself (tests/test_*.py), which read files. The gate is in pyproject.toml.
UNMEASURED = cluster performance soak mutants bench fuzz hostile endtoend/test_signals.py app/test_cycles.py

# Measured on a newer Python: from 3.14 on branches are counted by sys.monitoring, at a quarter of what a tracer costs.
# Where none can be had, on the Python of .venv, and it is said; in CI that fails.
.PHONY: coverage
coverage: setup peers postgresql ## Run the tests, of both stores, with branch coverage of gateway/; hold it to the gate
	@rm -rf .coverage && mkdir .coverage
	@python=$$($(BIN)/python scripts/pythons.py --newer); export PATH="$${python%/*}:$$PATH"; \
	  "$$python" -m coverage run -m pytest -q -rs $(SPREAD) --stores both $(UNMEASURED:%=--ignore=tests/%) --ignore-glob='tests/test_*.py' $(ARGS); \
	  "$$python" -m coverage combine -q; \
	  "$$python" -m coverage report

# With `make coverage` these are all tests, on that Python.
.PHONY: test-unmeasured
test-unmeasured: setup peers valgrind ## Run the tests that `make coverage` leaves out, on the Python that it takes
	@python=$$($(BIN)/python scripts/pythons.py --newer); export PATH="$${python%/*}:$$PATH"; \
	  "$$python" -m pytest -q -rs --durations=10 $(SPREAD) $(UNMEASURED:%=tests/%) tests/test_*.py $(ARGS)

.PHONY: test-pythons
test-pythons: setup peers valgrind sslscan promtool ## Run the tests on the lowest supported Python and a newer one (ARGS="--only 3.13")
	@$(BIN)/python scripts/pythons.py $(SPREAD) $(ARGS)

.PHONY: lint
lint: setup peers ## Check the code (ruff, mypy strict), the spelling (codespell) and the protos (buf)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell
ifneq ($(NPM),)
	@node_modules/.bin/buf lint
	@node_modules/.bin/buf format --diff --exit-code
	@node_modules/.bin/buf breaking --against protos/contract.binpb
else
	@echo "npm was not found: the protos were not checked"
endif

.PHONY: console-assets
console-assets: setup peers ## Copy the console's vendored files from npm's packages, with their digests
	@$(BIN)/python scripts/console_assets.py

# Of the console's test in a browser. In CI what is missing fails the run; elsewhere it is said.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || scripts/install-tool chromium "the console is not tested in a browser"

.PHONY: test-console
test-console: setup peers chromium ## Test the operator's console in Chromium, and with 10,000 chargers (ARGS="--screenshots docs/images")
	@$(BIN)/python -m tests.console.browser $(ARGS)

.PHONY: hooks
hooks: setup ## Have git check each commit: code, spelling, types, and the commit message
	@$(BIN)/pre-commit install

.PHONY: format
format: setup peers ## Put code and protos into the project's format
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .
	@$(if $(NPM),node_modules/.bin/buf format --write)

.PHONY: protos
protos: setup ## Generate gateway/api/ from protos/
	@$(BIN)/python protos/generate.py .

# The locks hold names, versions and digests; where packages come from is the installing machine's own setting.
UV_COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(LOCK)

.PHONY: contract
contract: setup peers ## At a release: take the protos as the contract that later ones are held to
	@node_modules/.bin/buf breaking --against protos/contract.binpb
	@cp gateway/api/v1/descriptors.binpb protos/contract.binpb

.PHONY: dist
dist: setup ## Build what is released into dist/: wheel, sources, protos with their descriptor set, checksums
	@$(BIN)/python scripts/dist.py dist

# An environment for each major version of protobuf, in .clients/, from locks of their own; then the oldest compiler.
.PHONY: test-client
test-client: dist ## Test gateway-client from dist/ with protobuf 5, 6 and 7 (make test-client ARGS="--only 5")
	@$(BIN)/python scripts/client_environments.py dist $(ARGS)

# Diagrams are drawn by a script that the site serves itself, from npm by its digest.
.PHONY: docs
docs: setup ## Build the documentation site into .site/html; a broken link or a missing example ends it
	@$(INSTALL) --require-hashes --only-binary :all: --requirement requirements-docs.lock
	@command -v npm >/dev/null || scripts/install-tool npm "the site's diagrams can't be drawn"
	@cd docs/site && npm ci --loglevel=error >/dev/null
	@$(BIN)/python -m scripts.site docs/site/node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js

# Environments and builds are in .examples/. What Go and Node download is locked by digest (go.sum, package-lock.json).
.PHONY: test-examples
test-examples: dist peers ## Run the examples of examples/clients from dist/, in Python, Go and TypeScript (ARGS="--only go")
	@$(BIN)/python scripts/example_runs.py dist $(ARGS)

.PHONY: release
release: dist ## Complete dist/ to a release: tried wheel, list of parts, checksums (make release ARGS=--trial for any commit)
	@$(BIN)/python scripts/release.py dist $(ARGS)

.PHONY: lock
lock: setup ## Pin all packages anew (make lock LOCK=--upgrade for the newest)
	@$(UV_COMPILE) pyproject.toml --extra postgres --extra cluster --extra traces --output-file requirements.lock
	@$(UV_COMPILE) pyproject.toml --extra postgres --extra cluster --extra traces --constraint requirements.lock --group dev --output-file requirements-dev.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group build --output-file requirements-build.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group fuzz --output-file requirements-fuzz.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group bench --output-file requirements-bench.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group audit --output-file requirements-audit.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group release --output-file requirements-release.lock
	@$(UV_COMPILE) --resolution lowest-direct --group client-5 --output-file requirements-client-5.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group docs --output-file requirements-docs.lock
	@$(UV_COMPILE) --group examples --output-file requirements-examples.lock
	@for version in 6 7 compiler; do \
	  $(UV_COMPILE) --group client-$$version --output-file requirements-client-$$version.lock; done
	@$(if $(NPM),npm install --package-lock-only --loglevel=error >/dev/null)

.PHONY: audit-deps
audit-deps: setup ## List known vulnerabilities of the locked packages; without a network say what was skipped
	@$(INSTALL) --require-hashes --only-binary :all: --requirement requirements-audit.lock \
	  || { echo "SKIPPED: pip-audit can't be installed, so that nothing was looked up"; exit 0; }; \
	  $(BIN)/python -m scripts.audit_deps

.PHONY: bench
bench: setup peers ## Measure the gateway under load, and others beside it (make bench ARGS=--help, ARGS=check)
	@$(INSTALL) --require-hashes --only-binary :all: --requirement requirements-bench.lock
	@$(BIN)/python -m bench $(ARGS)

# Found inputs are kept between runs; what breaks a target is written to its corpus.
FUZZ_SECONDS ?= 300
.PHONY: fuzz
fuzz: setup ## Look for inputs that break a parser (make fuzz FUZZ_SECONDS=60)
	@$(INSTALL) --require-hashes --only-binary :all: --requirement requirements-fuzz.lock
	@for target in framing handshake messages; do \
	  $(BIN)/python -m tests.fuzz $$target --seconds $(FUZZ_SECONDS) --found .fuzz/$$target; done

.PHONY: soak
soak: setup ## Churn of everything at once for ten minutes (ARGS="--seconds 60"; "--nodes 3": an hour of several gateways)
	@$(BIN)/python -m tests.soak $(ARGS)

# Which test runs which line is noted once for a version of the code, in .mutants/.
.PHONY: mutants
mutants: setup postgresql ## Put faults into the code, one at a time: does a test notice? (make mutants ARGS="--seed 7 --count 300")
	@$(BIN)/python -m tests.mutants $(ARGS)

.PHONY: alerts
alerts: promtool ## Check the alert rules of deploy/prometheus, and run their tests
	@cd deploy/prometheus && promtool check config prometheus.yaml && promtool test rules alerts_test.yaml

.PHONY: chart
chart: setup ## Check the Helm chart: helm lint, Kubernetes' own schemas, what it has to refuse (needs Go)
	@$(BIN)/python -m scripts.chart

.PHONY: debian-images
debian-images:
	@command -v buildah >/dev/null || scripts/install-tool buildah "the image is not built"
	@command -v debootstrap >/dev/null || scripts/install-tool debootstrap "the image is not built"

.PHONY: image
image: setup debian-images ## Build the image by buildah on a base of Debian's packages, run it, ask its health check (BASE=...)
	@$(BIN)/python -m scripts.image

.PHONY: scan
scan: setup sslscan ## Have sslscan look at a running gateway's TLS, and compare it with each policy, suite by suite
	@$(BIN)/python -m pytest -q -rs tests/endtoend/test_scan.py $(ARGS)

.PHONY: clean
clean: ## Remove what tools leave behind (not .venv, .pythons, .tools, node_modules)
	@rm -rf build dist bench/cache .venv-release .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz .mutants .coverage
	@find . -name __pycache__ -not -path './$(VENV)/*' -not -path './.pythons/*' -not -path './.tools/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
