# Keyless MLOps. Two commands: `make up` and `make test`. See README.md.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Without bytecode each process would compile the same modules and tests anew, at every run.
unexport PYTHONDONTWRITEBYTECODE

# Any of these may be given: make up PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV ?= .venv
bin := $(VENV)/bin
uv := $(bin)/uv
# Locks are resolved for every platform at once, and keep no download address.
compile := $(uv) pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-annotate --quiet
# Compiled once, here: several processes of `up` would each compile the same modules at once.
imports := import mlflow.server.fastapi_app, pipeline.model.preload, scripts.local_run.flow, scripts.localcloud.daemon
install := $(uv) pip install --python $(bin)/python --require-hashes --quiet

.PHONY: help up down test check units lint lock install install-test install-tools audit clean

help: ## show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

up: install ## start the local cloud, apply the platform, train, promote and predict
	@$(bin)/keyless up

down: ## destroy what `up` made and end every process of it
	@if [ -x $(bin)/keyless ]; then $(bin)/keyless down; else echo "nothing to end: $(VENV) does not exist"; fi

# Three where there are two processors: many of these tests wait for servers and for Terraform.
test: install-test ## every check and test, end-to-end included
	@$(MAKE) --no-print-directory -j 2 lint install-tools
	@$(bin)/python -m pytest -n 3 -m "not e2e and not alone"
	@$(bin)/python -m pytest -m alone $$(grep -rl --include='*.py' 'mark\.alone' tests)
	@$(bin)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m e2e tests/e2e
	@$(bin)/python -m tests.browser

# Side by side: mypy has one processor, and takes a minute of it where it has no cache.
check: install-test ## the quick half: format, lint, types, unit tests
	@$(MAKE) --no-print-directory -j 2 lint units

units: install-test
	@KEYLESS_TESTS=quick $(bin)/python -m pytest -n 2 --dist loadfile -q -m "not slow and not e2e and not terraform"

lint: install-test
	@$(bin)/ruff format --check --quiet . || { echo "format: run $(bin)/ruff format ."; exit 1; }
	@$(bin)/ruff check --quiet .
	@$(bin)/mypy

install: $(VENV)/.run
install-test: $(VENV)/.test
install-tools: $(VENV)-tools/.done

# The lines of one package in a lock file: its own line and the hashes that follow.
$(uv):
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found. Install Python 3.11, 3.12 or 3.13, or name one: make up PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11, 3.12 or 3.13 is needed; $(PYTHON) is %d.%d. Name another one: make up PYTHON=python3.12" % tuple(v))' || exit 2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian and Ubuntu: sudo apt-get install python3-venv" >&2; exit 2; }
	@echo "creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/^[^ ]/{/^uv==/p;/^ /p;}' requirements-run.txt > $(VENV)/uv.txt
	@$(bin)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(VENV)/uv.txt

$(VENV)/.run: requirements-run.txt | $(uv)
	@echo "installing the locked run dependencies into $(VENV)"
	@$(install) -r requirements-run.txt
	@rm -f $(VENV)/lib/python3*/site-packages/keyless.pth
	@$(uv) pip install --quiet --offline --no-deps --no-build-isolation --python $(bin)/python --editable .
	@echo "compiling what the platform imports"
	@$(bin)/python -W ignore -c '$(imports)'
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.run
	@echo "installing the locked test dependencies into $(VENV)"
	@$(install) -r requirements-test.txt
	@touch $@

# The second opinion's dependencies clash with checkov's; it needs none of them.
second_opinion := tests/iam/conformance/requirements.txt
# The third opinion runs in Node. Its lock file has hashes and no addresses; nothing of it is run at
# installation. Without Node its tests are skipped, and say so.
third_opinion := tests/iam/conformance/simulate
npm := npm ci --prefix $(VENV)-tools/simulate --ignore-scripts --no-audit --no-fund --silent
$(VENV)-tools/.done: requirements-tools.txt $(second_opinion) $(third_opinion)/package-lock.json | $(uv)
	@echo "installing isolated tools into $(VENV)-tools"
	@$(uv) venv --quiet --allow-existing --python $(bin)/python $(VENV)-tools
	@$(uv) pip install --quiet --require-hashes --python $(VENV)-tools/bin/python -r requirements-tools.txt
	@$(uv) pip install --quiet --require-hashes --no-deps --python $(VENV)-tools/bin/python -r $(second_opinion)
	@mkdir -p $(VENV)-tools/simulate && cp $(third_opinion)/package.json $(third_opinion)/package-lock.json $(VENV)-tools/simulate
	@if command -v npm >/dev/null; then $(npm) || echo "iam-simulate was not installed: no third opinion on the policies"; else echo "Node is not there: no third opinion on the policies"; fi
	@touch $@

lock: install ## resolve the three lock files anew (keeps what still fits; UPGRADE=--upgrade renews all)
	@$(compile) $(UPGRADE) pyproject.toml -o requirements-run.txt
	@$(compile) $(UPGRADE) pyproject.toml --group test -c requirements-run.txt -o requirements-test.txt
	@$(compile) $(UPGRADE) --group tools -o requirements-tools.txt
	@echo pip-audit | $(compile) $(UPGRADE) - -o scripts/maintenance/audit-lock.txt
	@$(bin)/keyless wheelhouse --lock

audit: install ## look every locked package up in the advisory database (needs the internet)
	@$(bin)/python -m scripts.maintenance.dependency_audit

clean: down ## `down`, then remove the environments
	@rm -rf $(VENV) $(VENV)-tools .mypy_cache .ruff_cache .pytest_cache
