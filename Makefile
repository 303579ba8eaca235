# Everything needs Python 3.11+ and make only; the rest is set up here.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
HOST   ?= 127.0.0.1
PORT   ?= 8080
FHIR_PORT ?= 8090
EHR_PORT  ?= 8091

.DEFAULT_GOAL := help
.PHONY: help serve sandbox test check bench steady soak lock catalogue clean

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

$(VENV)/.run: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "OncoBone needs Python 3.11 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.sandbox: requirements-sandbox.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-sandbox.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

serve: $(VENV)/.run $(VENV)/.sandbox ## Set everything up and serve at http://127.0.0.1:8080
	$(BIN)/oncobone serve --host $(HOST) --port $(PORT)

sandbox: $(VENV)/.sandbox ## A local FHIR server with the sample patients, and the service beside it
	$(BIN)/oncobone sandbox --port $(PORT) --fhir-port $(FHIR_PORT) --ehr-port $(EHR_PORT)

test: $(VENV)/.dev ## Set everything up and run the tests
	@sh .ci/system-parts
	@sh .ci/engines $(CURDIR)/$(VENV)/engines
	$(BIN)/pytest -n auto --dist loadgroup

check: $(VENV)/.dev ## Format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.dev ## Time a call beside a bare Flask service, and a replay beside reading the same files
	$(BIN)/python bench/bench.py
	$(BIN)/python bench/replay.py

steady: $(VENV)/.dev ## Ten minutes of 60 calls a second of mixed sizes
	$(BIN)/python bench/steady.py

soak: $(VENV)/.dev ## Run the long proofs whole
	@CI=true sh .ci/system-parts
	@sh .ci/engines $(CURDIR)/$(VENV)/engines
	CI=true ONCOBONE_SOAK=1 $(BIN)/pytest -n 0 --timeout 7200 -m soak -vv -rA -s && echo "All long proofs hold."

lock: $(VENV)/.dev ## Renew the lock files
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra postgres --quiet -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra postgres --extra sandbox --quiet -o requirements-sandbox.lock pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra postgres --extra sandbox --extra otel --extra dev --quiet -o requirements-dev.lock pyproject.toml
	echo hatchling | $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o deploy/requirements-build.txt -

catalogue: $(VENV)/.run ## Write docs/catalogue.md from the guidance data
	$(BIN)/oncobone catalogue > docs/catalogue.md

clean: ## Remove what was set up
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
