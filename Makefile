# Needs make and Python 3.11 or newer, nothing else: `make demo` shows the app, `make test` tests it.

PYTHON ?= python3
PORT ?= 8000
export PORT

VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench clean

demo: $(VENV)/.runtime
	$(BIN)/python manage.py demo

# On SQLite, in parallel. Other databases: see tests/settings.py.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadgroup

lint: $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Under five minutes. `make bench DB=postgres` takes PostgreSQL and Redis on this machine, see benchmarks/README.md, and
# measures rates too; KEYS=10000000 looks keys up among so many as well, and
# ROWS=10000000 sums so many rows of usage.
DB ?= sqlite
KEYS ?= 10000
ROWS ?= 1000000
bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks.run --database $(DB) --keys $(KEYS) \
		--command 'make bench$(if $(filter-out sqlite,$(DB)), DB=$(DB))$(if $(filter-out 10000,$(KEYS)), KEYS=$(KEYS))'
	$(BIN)/python -m benchmarks.usage --keep
	$(BIN)/python -m benchmarks.tokens --database $(DB) --keep
	$(BIN)/python -m benchmarks.signed --database $(DB) --keep
	$(if $(filter postgres,$(DB)),$(BIN)/python -m benchmarks.limits --keep)
	$(if $(filter postgres,$(DB)),$(BIN)/python -m benchmarks.rollup --rows $(ROWS) --keep)
	$(BIN)/python -m benchmarks.report

clean:
	rm -rf $(VENV) .benchmarks demo.sqlite3* build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .tox
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The empty files are stamps: what they stand for is installed again only when pyproject.toml changes.
# pip reads dependency groups since 25.1; the one that comes with Python may be older.
$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) (once, about 30 s)…"
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[jwt,limits,oauth,openapi]' --group demo
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group test
	@touch $(VENV)/.runtime $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	@echo "Installing what is measured into $(VENV) (once)…"
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group bench
	@touch $(VENV)/.runtime $@

$(VENV)/.lint: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --editable . --group lint
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "apikeys needs Python 3.11 or newer; '$(PYTHON)' is not. Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu install python3-venv." >&2; exit 1; }
