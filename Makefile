# The commands a newcomer needs. `make` alone lists them.

PYTHON ?= python3
UV_LOCK = .venv/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --upgrade --all-extras pyproject.toml
BUILT_FROM = pyproject.toml build_hook.py $(wildcard frontend/package*.json src/mailroom/locale/*/LC_MESSAGES/*.po)

.DEFAULT_GOAL := help
.PHONY: help .venv run test bench chaos lock

help:
	@echo "make run     start Mailroom with demo data on this machine"
	@echo "make test    the whole gate: format, lint, types, layers, every test"
	@echo "make .venv   the set-up alone"
	@echo "make bench   benchmarks, peers beside us"
	@echo "make chaos   the kill test at length"
	@echo "make lock    renew requirements/*.lock"

.venv: .venv/.installed

.venv/.locked: requirements/dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Mailroom needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	@touch $@

.venv/.installed: .venv/.locked $(BUILT_FROM)
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: .venv
	.venv/bin/mailroom serve --demo

test: .venv
	.venv/bin/python tests/provision.py
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache
	.venv/bin/pytest -n 3 --cov --cov-report=term

bench: .venv
	.venv/bin/python -m bench

chaos: .venv
	.venv/bin/python -m pytest tests/kill --kills=1000 --timeout=0

lock: .venv
	$(UV_LOCK) --output-file requirements/runtime.lock
	$(UV_LOCK) --group dev --constraints requirements/runtime.lock --output-file requirements/dev.lock
