# Every target works from a fresh clone: what is missing is made first. See `make help`.

PYTHON ?= python3
VENV := .venv
OLDEST := .venv-oldest
PEERS := evidently nannyml alibi-detect
BIN := $(VENV)/bin

SOURCES := src tests benchmarks examples conftest.py
PYTEST_ARGS ?=
ALARMS_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test coverage test-fast torture check format format-check lint types layers docs-test test-oldest bench false-alarms peers wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.core ## play ten months of real flights through a monitor
	@mkdir -p build/demo
	$(BIN)/python examples/flights.py --database build/demo/flights.db --fresh

test: $(VENV)/.test ## run all tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

coverage: $(VENV)/.test ## run all tests, a third slower, with branch coverage
	$(BIN)/python -m pytest --cov --cov-report=term $(PYTEST_ARGS)

test-fast: $(VENV)/.test ## run the tests that are not marked slow
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

torture: $(VENV)/.test ## kill, fork, fill and starve processes that record, at full length
	$(BIN)/python -m pytest --long tests/torture $(PYTEST_ARGS)

check: format-check lint types layers test docs-test ## everything that has to pass before a change lands

format: $(VENV)/.dev ## format the code and sort the imports
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

format-check: $(VENV)/.dev ## say what `make format` would change
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.dev ## run ruff's rules
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.dev ## check the types (mypy, strict)
	$(BIN)/mypy --strict src $(wildcard tests/typing/*.py)

layers: $(VENV)/.dev ## check that imports only go down the layers
	$(BIN)/lint-imports

docs-test: $(VENV)/.dev ## run the examples in README.md, docs/ and the docstrings
	$(BIN)/python -m pytest README.md $(wildcard docs) src $(PYTEST_ARGS)

test-oldest: $(OLDEST)/.made ## run the tests that are not slow on the oldest versions that pyproject.toml allows
	@cat $(OLDEST)/core.txt
	$(OLDEST)/bin/python -m pytest -m "not slow" $(PYTEST_ARGS)

bench: $(VENV)/.test ## run every benchmark
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

false-alarms: $(VENV)/.test ## count false alarms, beside those of the tools that `make peers` installs
	$(BIN)/python benchmarks/false_alarms.py $(ALARMS_ARGS)

peers: $(PEERS:%=build/peers/%/.made) ## install the tools that false-alarms compares with, each by itself

wheel: $(VENV)/.core ## build the wheel into dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove the environments and everything that was built
	rm -rf $(VENV) $(OLDEST) build dist htmlcov .coverage .hypothesis .import_linter_cache
	rm -rf .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

# A stamp per set of packages, older than pyproject.toml when that has changed.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "mlwatch needs Python 3.11 or newer, and $(PYTHON) is not: name one, as in 'make PYTHON=python3.12 test'" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.test $(VENV)/.dev: $(VENV)/.%: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable . --group $*
	@touch $@

# The tools may be new: only what users install beside us has to be old.
$(OLDEST)/.made: pyproject.toml | $(VENV)/bin/python
	rm -rf $(OLDEST)
	$(BIN)/python -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip uv
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST) --resolution lowest-direct --editable .
	$(OLDEST)/bin/uv pip freeze --quiet --python $(OLDEST) --exclude-editable > $(OLDEST)/core.txt
	$(OLDEST)/bin/uv pip install --quiet --python $(OLDEST) --constraints $(OLDEST)/core.txt --group test
	@touch $@

# Where one of them cannot be installed (not every Python is theirs), `make -k peers` goes on with the others.
build/peers/%/.made: benchmarks/alarms/peers/%.txt
	rm -rf $(@D)
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --upgrade pip
	$(@D)/bin/python -m pip install --quiet --requirement $<
	@touch $@
