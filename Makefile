# LLM Relay. `make demo` runs it, `make test` checks it; both need only make and Python 3.11 or newer.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PORT ?= 11434
CONFIG ?= routers.d
# Options for the benchmark (BENCH="--quick --cases plain,smart"), the tests and the pinning. CI=true installs packages.
BENCH ?=
PYTEST ?=
LOCKFLAGS ?=
EXTRAS ?=
CI ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
INTELLIGENCE := $(VENV)/.intelligence

# The first interpreter that is new enough; `make PYTHON=... demo` names another. Only asked for when there is no .venv.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# What the checks need beside Python, installed only where CI=true: a browser, the benchmark's parties, a Prometheus.
DEBIAN_PACKAGES := chromium nginx-light libnginx-mod-http-echo prometheus util-linux wrk
SMOKE := $(if $(filter true,$(CI)),bench-smoke)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNTIME) ## Run the gateway on port 11434 with the routers of routers.d; no key needed
	@exec $(BIN)/llm-relay serve --config "$(CONFIG)" --port "$(PORT)" --log-format text

# The tests come last: their summary is what a reader of CI looks for.
.PHONY: test
test: lint types $(SMOKE) unit ## Run every check: style, types, tests; where CI=true the benchmark's smoke test too

.PHONY: lint
lint: $(DEV) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(DEV) ## Check types
	$(BIN)/mypy

.PHONY: unit
unit: $(DEV) $(if $(filter true,$(CI)),$(INTELLIGENCE)) debian ## Run the tests; PYTEST="-k name" chooses
	$(BIN)/pytest $(PYTEST)

.PHONY: format
format: $(DEV) ## Mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(DEV) ## Measure the gateway beside nginx (minutes; BENCH=--quick: under one); needs nginx-light and wrk
	$(BIN)/python -m tests.bench $(BENCH)

# Each measurement for a moment: shows that the benchmark still runs, and judges no figure.
.PHONY: bench-smoke
bench-smoke: $(DEV) debian
	$(BIN)/python -m tests.bench --quick --connections 4 --rounds 1 --routers 50

.PHONY: debian
debian:
ifeq ($(CI),true)
	@missing=$$(for package in $(DEBIAN_PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || echo $$package; done); \
	test -z "$$missing" || { sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
		$$sudo apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; }
endif

# Resolved for the oldest Python that is supported: what a newer one can do without is pinned then too, and harmless.
LOCK := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(LOCKFLAGS)

.PHONY: lock
lock: $(DEV) ## Pin all dependencies anew, with Python 3.11; LOCKFLAGS=--upgrade takes newer ones
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Pin with Python 3.11, the oldest that is supported: make clean; make PYTHON=python3.11 lock" >&2; exit 1; }
	$(LOCK) --output-file requirements.txt pyproject.toml
	$(LOCK) --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml
	$(LOCK) --extra intelligence --constraint requirements-dev.txt --output-file requirements-intelligence.txt pyproject.toml
	$(LOCK) --extra otel --constraint requirements-dev.txt --output-file requirements-otel.txt pyproject.toml
	$(LOCK) --only-build-deps --build-deps-for wheel --build-deps-for editable --constraint requirements-dev.txt \
		--output-file requirements-build.txt pyproject.toml

.PHONY: image
image: ## Build the container image llm-relay; EXTRAS="otel intelligence" adds traces, ChromaDB
	docker build --build-arg EXTRAS="$(EXTRAS)" --tag llm-relay .

.PHONY: clean
clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- the virtual environment: what runs the gateway, then what checks it; each only when its pins have changed ---------

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "LLM Relay needs Python 3.11 or newer on the PATH, or make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not there, or older than Python 3.11." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot run or make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	@echo "Installing the gateway into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-build.txt -r requirements.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "Installing the tools for development into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# Half a gigabyte: `make .venv/.intelligence` for whoever works on assessments; without it their tests are skipped.
$(INTELLIGENCE): requirements-intelligence.txt $(DEV)
	@echo "Installing ChromaDB into $(VENV) ..."
	@$(PIP) install --require-hashes -r requirements-intelligence.txt
	@touch $@
