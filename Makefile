# Everything starts here: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH ?=   # options of the benchmark, such as --rounds 3, --json FILE or --plot FOLDER
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q

# Tests, demo and benchmark start hundreds of processes: each would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

# What counts calls, imports or times would count the measuring too: these tests are left out.
COVERED := $(addprefix tests/,values format engine store backends testing cli) -k "not imports_"

BENCHES := $(addprefix bench-,start callers processes jobs read history memory queries sync commits save disk view growth)

.PHONY: help demo test long check lint types floors bench docs clean $(BENCHES)

help:            ## show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:[^#]*## */\t/'

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python pyproject.toml
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.bench: $(BIN)/python pyproject.toml
	$(PIP) -e '.[dev,bench]'
	@touch $@ $(VENV)/.runtime $(VENV)/.dev

$(VENV)/.docs: $(BIN)/python pyproject.toml
	$(PIP) -e '.[docs]'
	@touch $@ $(VENV)/.runtime

demo: $(VENV)/.runtime   ## a real job, saved to git, killed, resumed, finished and recovered
	$(BIN)/gitstate demo

test: $(VENV)/.dev       ## the default test suite, on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal

long: $(VENV)/.dev       ## the long soak and crash runs, and properties with many examples
	$(BIN)/python -m pytest -m long
	$(BIN)/python -m pytest -m "hypothesis and not long" --hypothesis-profile long

lint: $(VENV)/.dev       ## ruff: style, and formatting
	$(BIN)/ruff check gitstate tests
	$(BIN)/ruff format --check gitstate tests

types: $(VENV)/.dev      ## mypy --strict, of the package and of its tests
	$(BIN)/mypy

floors: $(VENV)/.dev     ## import-linter: a module imports only from floors below it
	$(BIN)/lint-imports

docs: $(VENV)/.dev       ## write the generated pages of docs/reference anew
	$(BIN)/python -m tests.docs.generate

.PHONY: coverage
coverage: $(VENV)/.dev   ## which branches of the core no test takes, a quarter of an hour; fails under 95 %
	rm -f .coverage .coverage.*
	$(BIN)/python -m coverage run -m pytest -n auto --dist worksteal $(COVERED)
	$(BIN)/python -m coverage combine -q
	$(BIN)/python -m tests.covered

.PHONY: mutation
MUTANTS ?= *   # which, by a pattern of their names: gitstate.values.*, or *_mutmut_*7 for one in ten
$(VENV)/.mutation: $(BIN)/python pyproject.toml
	$(PIP) -e '.[dev,mutation]'
	@touch $@ $(VENV)/.runtime $(VENV)/.dev

mutation: $(VENV)/.mutation   ## change the code a little, thousands of times: does a test notice? hours
	$(BIN)/python -m mutmut run --max-children 1 '$(strip $(MUTANTS))'
	@$(BIN)/python -m mutmut results | grep -v ': not checked' || echo "    none survived"

.PHONY: pictures site
pictures: $(VENV)/.dev   ## draw docs/pictures anew, from a real run
	$(BIN)/python -m tests.docs.pictures

site: $(VENV)/.docs      ## build the documentation as a web site, in site/
	$(BIN)/python -m mkdocs build --strict

check: lint types floors test   ## everything that CI checks; the tests run the documents and check the generated pages

bench: $(VENV)/.bench    ## measure against other ways to keep state, 15 minutes; bench-save and so on: a part of it
	$(BIN)/python -m tests.bench $(BENCH)

$(BENCHES): bench-%: $(VENV)/.bench
	$(BIN)/python -m tests.bench $* $(BENCH)

clean:           ## remove the environment and everything built
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist site mutants .coverage*
