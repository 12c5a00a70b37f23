# Everything a new user needs: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=

.PHONY: demo demo-real test test-slow check bench soak soak-faults soak-moves setup clean

demo: .venv/installed
	$(BIN)/edgewise demo

demo-real: .venv/installed
	@test -n "$(DATA)" || { echo "say where the measured data are: make demo-real DATA=folder"; exit 2; }
	$(BIN)/edgewise demo-real "$(DATA)"

test: .venv/installed
	$(BIN)/python -m pytest

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What `make test` leaves out because it takes minutes: stock ophyd under faults, a dying server, the how-to page.
SLOW := tests/system/test_faults_stock.py tests/system/test_faults_ioc.py tests/system/test_spectroscopy.py

test-slow: .venv/installed
	EDGEWISE_SOAK=1 $(BIN)/python -m pytest $(SLOW)

# Longer runs; `make test` has a short form of both.
soak: soak-faults soak-moves

soak-faults: .venv/installed
	EDGEWISE_SOAK=1 $(BIN)/python -m pytest tests/system/test_faults.py $(SLOW)

soak-moves: .venv/installed
	$(BIN)/python -m benchmarks.soak_moves --moves 20000

bench: .venv-bench/installed
	.venv-bench/bin/python -m benchmarks

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Edgewise needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# The peers of the benchmarks move versions that Edgewise pins: they live in an environment of their own.
.venv-bench/installed: requirements-bench.lock pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .venv-bench demo-output
