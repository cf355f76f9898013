# `make app` and `make test` need only Python 3.11+, git and make. uv is used where it is there, else pip.
VENV   := .venv
PYTHON ?= python3
BIN    := $(VENV)/bin
PORT   ?= 8501
RUNS   ?= 2000
UV     := $(shell command -v uv 2>/dev/null)
ifdef UV
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

.PHONY: app test faults test-browser chromium lint types coverage mutation check audit fuzz bench docs screenshots lock clean help

app: $(VENV)/.app  ## set up and open the app on http://localhost:8501
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: $(VENV)/.dev  ## set up and run the tests
	$(BIN)/python -m pytest

faults: $(VENV)/.dev  ## damage, kill, fill and lock at every moment and on every page (docs/faults.md)
	$(BIN)/python -m pytest -m "sweep or not sweep" $(wildcard tests/test_faults_*.py)

test-browser: $(VENV)/.dev chromium  ## set up and run the tests that work the app in a real browser
	$(BIN)/python -m pytest tests/browser

chromium:
	@tests/browser/find-chromium

lint: $(VENV)/.dev  ## style, what may import what, and what is known to be unsafe
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/bandit -q -r maskdet ui pages app.py -c pyproject.toml

types: $(VENV)/.dev  ## static types, strictly
	$(BIN)/mypy

coverage: $(VENV)/.dev  ## which lines of the core the tests run; fails below 90 %
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

mutation: $(VENV)/.proof  ## change the code that filters, splits and measures bit by bit: a test must notice
	mkdir -p mutants/data
	$(BIN)/mutmut run $(MUTANTS)
	$(BIN)/mutmut results

check: lint types test  ## what CI runs, but for the browser (make test-browser)

fuzz: $(VENV)/.proof  ## fuzz what reads from outside: RUNS=100000 inputs for each of TARGETS="photo voc" (docs/fuzzing.md)
	$(BIN)/python -m fuzz $(TARGETS) --runs $(RUNS)

audit: $(VENV)/.proof  ## ask PyPI's advisories about every pinned package (needs a network; see docs/security.md)
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r requirements.txt -r requirements-dev.txt

bench: $(VENV)/.dev  ## measure the speed against baselines and write docs/benchmarks.md
	$(BIN)/python -m benchmarks

docs: $(VENV)/.app  ## write docs/shell.md again, after a change of a command
	$(BIN)/python -m typer maskdet.cli utils docs --name "python -m maskdet" --title "The shell" --output docs/shell.md

screenshots: $(VENV)/.dev chromium  ## take the pictures of the README again
	PYTHONPATH=tests:. $(BIN)/python -m browser.screenshots

lock: $(VENV)/.uv  ## pin requirements*.in again, for every platform and Python 3.11+
	$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	    --custom-compile-command "make lock" requirements.in -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	    --custom-compile-command "make lock" requirements-dev.in -o requirements-dev.txt
	$(BIN)/uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 \
	    --custom-compile-command "make lock" requirements-proof.in -o requirements-proof.txt

clean:  ## remove the environment and caches (never the workspace)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache mutants

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "MaskDet needs Python 3.11 or newer; say which with PYTHON=/path/to/python3.x" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements.txt | $(BIN)/python
	$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.app
	$(INSTALL) -r requirements-dev.txt
	@touch $@

$(VENV)/.proof: requirements-proof.txt $(VENV)/.dev
	$(INSTALL) -r requirements-proof.txt
	@touch $@

$(VENV)/.uv: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@
