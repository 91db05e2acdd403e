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
night: setup ## Play a night of charging by price, in a minute (examples/night); draws night.svg
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

# A worker for each core, four at most: each starts gateways and fleets beside it. The tests of a file stay together, and
# the files in their order: by the number of tests, pytest-xdist's own order, the longest would begin last.
SPREAD = -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: test
test: setup peers valgrind sslscan ## Run the tests on all cores (make test ARGS="tests/session -x", ARGS="-n 0 ..." on one)
	@$(BIN)/python -m pytest -q -rs --durations=10 $(SPREAD) $(ARGS)

# Left out is what a tracer would change: calls, instructions, memory, what an attack costs others, signals within
# milliseconds of a start; the tests of a tracer; and those of bench/, which is not measured. The gate is in pyproject.toml.
UNMEASURED = examples performance soak mutants bench fuzz hostile endtoend/test_signals.py

.PHONY: coverage
coverage: setup peers ## Run the tests with branch coverage of gateway/, and hold it to the gate
	@rm -rf .coverage && mkdir .coverage
	@$(BIN)/coverage run -m pytest -q -rs $(SPREAD) $(UNMEASURED:%=--ignore=tests/%) $(ARGS)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report

.PHONY: test-pythons
test-pythons: setup peers valgrind sslscan ## Run the tests on the lowest supported Python and a newer one (ARGS="--only 3.13")
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
else
	@echo "npm was not found: the protos were not checked"
endif

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

.PHONY: lock
lock: setup ## Pin all packages anew (make lock LOCK=--upgrade for the newest)
	@$(UV_COMPILE) pyproject.toml --output-file requirements.lock
	@$(UV_COMPILE) pyproject.toml --constraint requirements.lock --group dev --output-file requirements-dev.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group build --output-file requirements-build.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group fuzz --output-file requirements-fuzz.lock
	@$(UV_COMPILE) --constraint requirements-dev.lock --group bench --output-file requirements-bench.lock
	@$(if $(NPM),npm install --package-lock-only --loglevel=error >/dev/null)

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
soak: setup ## Churn of everything at once for ten minutes (make soak ARGS="--seconds 60")
	@$(BIN)/python -m tests.soak $(ARGS)

# Which test runs which line is noted once for a version of the code, in .mutants/.
.PHONY: mutants
mutants: setup ## Put faults into the code, one at a time: does a test notice? (make mutants ARGS="--seed 7 --count 300")
	@$(BIN)/python -m tests.mutants $(ARGS)

.PHONY: scan
scan: setup sslscan ## Have sslscan look at a running gateway's TLS, and compare it with each policy, suite by suite
	@$(BIN)/python -m pytest -q -rs tests/endtoend/test_scan.py $(ARGS)

.PHONY: clean
clean: ## Remove what tools leave behind (not .venv, .pythons, node_modules)
	@rm -rf build dist bench/cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .fuzz .mutants .coverage
	@find . -name __pycache__ -not -path './$(VENV)/*' -not -path './.pythons/*' -not -path './node_modules/*' -prune -exec rm -rf {} +
