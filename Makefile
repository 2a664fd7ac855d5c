# Every task of the repository. Bare `make` prints the list.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# The first CPython >= 3.11 on the path; name another with `make PYTHON=...`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
# Of `make check-chart`, apart from what Seawall is built and run with.
LINTERS := .venv-linters
DEMO_FLAGS ?=
SOAK_FLAGS ?=
SWEEP_FLAGS ?=
BENCH_FLAGS ?=
FAULTS_FLAGS ?=
TEST_K8S_FLAGS ?=
FUZZ_FLAGS ?=
# What the chart ships for Prometheus and Grafana; written by `make format`.
MONITORING := helm/seawall/files
LOAD_FLAGS ?=
# Of `make image`: its name, which of two it is, the base image by tag, and what builds it.
IMAGE ?= seawall:dev
IMAGE_TARGET ?= site
IMAGE_BASE ?= python:3.11-slim
IMAGE_BUILDER ?= $(shell for tool in docker podman buildah; do \
	$$tool info >/dev/null 2>&1 && echo $$tool && break; done)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PROTOS := $(wildcard proto/seawall/api/v1/*.proto)
# Generated: stamps under the environment say how far its set-up has come.
RUNTIME := $(VENV)/.stamp-runtime
DEVELOPMENT := $(VENV)/.stamp-development
INSTALLED := $(VENV)/.stamp-installed
LOCUST := $(VENV)/.stamp-locust
STUBS := $(VENV)/.stamp-stubs

.PHONY: help
help: ## Print this list.
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET, where TARGET is:"} \
	/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Seawall needs CPython 3.11 or newer, and found none on the path." \
	"Name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "set-up: virtual environment in $(VENV) ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module failed; on Debian: apt-get install" \
	"python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(RUNTIME): requirements.lock | $(BIN)/python
	@echo "set-up: runtime packages, by hash, from requirements.lock"
	@$(PIP) install --no-deps --require-hashes -r requirements.lock
	@touch $@

$(DEVELOPMENT): requirements-dev.lock | $(BIN)/python
	@echo "set-up: runtime and development packages, by hash, from requirements-dev.lock"
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@touch $@ $(RUNTIME)

$(STUBS): $(PROTOS) tools/build_stubs.py $(RUNTIME)
	@echo "set-up: Python modules from proto/"
	@$(BIN)/python tools/build_stubs.py
	@touch $@

$(INSTALLED): pyproject.toml tools/build_stubs.py | $(RUNTIME) $(STUBS)
	@echo "set-up: seawall itself, editable"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(LOCUST): requirements-load.lock | $(RUNTIME)
	@echo "set-up: locust, by hash, from requirements-load.lock"
	@$(PIP) install --no-deps --require-hashes -r requirements-load.lock
	@touch $@

.PHONY: setup
setup: $(DEVELOPMENT) $(RUNTIME) $(STUBS) $(INSTALLED) ## Environment for development, stubs, editable install.

.PHONY: demo
demo: $(RUNTIME) $(STUBS) $(INSTALLED) ## Set up, then run four sites under attack (DEMO_FLAGS="--short").
	@echo "demo: seawall demo $(DEMO_FLAGS)"
	@$(BIN)/seawall demo $(DEMO_FLAGS)

.PHONY: test
test: setup ## Set up, then run all tests and both coverage gates (TEST_FLAGS="-k name").
ifdef TEST_FLAGS
	@echo "test: pytest $(TEST_FLAGS), no coverage gates for a selection of tests"
	@$(BIN)/python -m pytest $(TEST_FLAGS)
else
	@echo "test: pytest with branch coverage, in two halves"
	@$(BIN)/python tools/run_tests.py
	@echo "test: coverage gates"
	@$(BIN)/python tools/coverage_gates.py
endif

.PHONY: check
check: setup ## Lint, format, types, import rules, wire contract, generated pages.
	@echo "check: ruff"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
	@echo "check: mypy --strict"
	@$(BIN)/mypy
	@echo "check: import rules"
	@$(BIN)/lint-imports --no-logo
	@echo "check: wire contract"
	@$(BIN)/buf lint proto
	@$(BIN)/buf format --diff --exit-code proto || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/buf breaking proto --against proto/baseline.binpb
	@echo "check: docs/errors.md, experiment.schema.json, openapi.json, helm/seawall/README.md"
	@$(BIN)/python tools/error_codes.py --check
	@$(BIN)/python tools/experiment_schema.py --check
	@$(BIN)/python tools/openapi.py --check
	@$(BIN)/python tools/chart_values.py --check
	@echo "check: dashboards and rules"
	@$(BIN)/seawall dashboards --out $(MONITORING) --check || { echo "run: make format" >&2; exit 1; }

.PHONY: format
format: setup ## Format and repair what can be repaired; regenerate pages.
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/buf format --write proto
	@$(BIN)/python tools/error_codes.py
	@$(BIN)/python tools/experiment_schema.py
	@$(BIN)/python tools/openapi.py
	@$(BIN)/python tools/chart_values.py
	@$(BIN)/python -m tests.cases.bad_input_page
	@$(BIN)/seawall dashboards --out $(MONITORING)

.PHONY: check-chart
check-chart: $(BIN)/python ## Check chart, image and manifests with checkov, hadolint and others.
	@[ -x $(LINTERS)/bin/checkov ] || { echo "set-up: linters in $(LINTERS)"; \
	$(PYTHON) -m venv $(LINTERS) && $(LINTERS)/bin/pip install --quiet -r tools/chart_linters.txt; }
	@$(LINTERS)/bin/python tools/check_chart.py

.PHONY: overlays
overlays: setup ## Write k8s/overlays and the Jobs of k8s/chaos from the chart; needs helm.
	@$(BIN)/python tools/chart_overlays.py

.PHONY: lock
lock: $(BIN)/python ## Resolve the lock files anew (LOCK_FLAGS="--upgrade").
	@$(BIN)/python tools/lock.py $(LOCK_FLAGS)

.PHONY: proto
proto: $(RUNTIME) ## Compile the wire contract into services/seawall/api/v1.
	@$(BIN)/python tools/build_stubs.py
	@touch $(STUBS)

.PHONY: proto-baseline
proto-baseline: setup ## Accept today's wire contract as what later ones are compared with.
	@$(BIN)/buf build proto --exclude-source-info -o proto/baseline.binpb

.PHONY: image
image: ## Build the container image (IMAGE=seawall:dev IMAGE_TARGET=site or load).
	@[ -n "$(IMAGE_BUILDER)" ] || { echo "Building an image needs docker, podman or buildah, running;" \
	"on Debian: apt-get install buildah" >&2; exit 1; }
	@echo "image: $(IMAGE), target $(IMAGE_TARGET), on $(IMAGE_BASE), by $(IMAGE_BUILDER)"
	@$(IMAGE_BUILDER) build --build-arg BASE=$(IMAGE_BASE) --target $(IMAGE_TARGET) --tag $(IMAGE) \
	--build-arg GIT_SHA=$$(git rev-parse HEAD 2>/dev/null || echo unknown) .

.PHONY: bench
bench: setup ## Measure throughput, latency and cost, beside other systems (BENCH_FLAGS).
	@$(BIN)/python bench/run.py $(BENCH_FLAGS)

.PHONY: load-setup
load-setup: $(RUNTIME) $(STUBS) $(INSTALLED) $(LOCUST) ## Set up what `make load` needs, locust above all.

.PHONY: load
load: load-setup ## Load real sites for half a minute, and look up what they took (LOAD_FLAGS="--shape spike").
	@$(BIN)/python -m loadtest.run $(LOAD_FLAGS)

.PHONY: faults
faults: setup ## Kill, stop, partition and rob real sites under load (FAULTS_FLAGS="--quick").
	@$(BIN)/python -m bench.faults $(FAULTS_FLAGS)

.PHONY: test-k8s
test-k8s: setup ## Lead a release through its life on the cluster of KUBECONFIG (TEST_K8S_FLAGS).
	@$(BIN)/python -m bench.cluster --image $(IMAGE) $(TEST_K8S_FLAGS)

.PHONY: sweep
sweep: setup ## Run 2,000 simulated schedules and hunt every mutant (SWEEP_FLAGS).
	@$(BIN)/python -m seawall.sim.sweep $(SWEEP_FLAGS)

.PHONY: soak
soak: setup ## Search simulated schedules for an hour (SOAK_FLAGS="--short": minutes).
	@$(BIN)/python -m seawall.sim.soak $(SOAK_FLAGS)

.PHONY: fuzz
fuzz: setup ## Fuzz decoders and steps, 60 s each (FUZZ_FLAGS="--seconds 600 --target block").
	@$(BIN)/python -m tests.fuzz.run $(FUZZ_FLAGS)

.PHONY: clean
clean: ## Remove the environment, generated modules and caches.
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	.coverage htmlcov dist build
	@rm -f services/seawall/api/v1/*_pb2*
	@find services tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
