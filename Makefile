# Each target does its own set-up: a virtual environment in .venv with the versions of constraints.txt.

PYTHON ?= python3
N ?= $(if $(filter fuzz,$(MAKECMDGOALS)),10000,200)
SEED ?= 1
# Test processes side by side: all cores, four at most.
WORKERS ?= auto --maxprocesses 4 --dist worksteal

PY := .venv/bin/python
SETUP := PYTHON='$(PYTHON)' sh .ci/setup

.PHONY: help demo test slow random fuzz lint types clean setup

help:
	@echo 'make demo               run the shipped network on generated RTL and compare every tensor'
	@echo 'make test               the default tests (under ten minutes on two cores)'
	@echo 'make slow               the slow tests: whole networks in RTL, the wheel, large random runs'
	@echo 'make random N=200 SEED=1    random layers through all oracles and RTL'
	@echo 'make fuzz N=10000 SEED=1    damaged models and programs: no traceback, 20 s and 1 GiB at most (about an hour)'
	@echo 'make lint               ruff and mypy'
	@echo 'make clean              remove the virtual environment and everything built'
	@echo 'Each one makes what it needs first. PYTHON=python3.12 chooses the interpreter.'

demo:
	@$(SETUP)
	@$(PY) examples/demo.py

test:
	@$(SETUP) dev
	@$(PY) -m pytest -q -rs -n $(WORKERS) -m 'not slow'

slow:
	@$(SETUP) dev
	@$(PY) -m pytest -q -rs -n $(WORKERS) -m slow

random:
	@$(SETUP) dev
	@$(PY) tests/random_layers.py --count $(N) --seed $(SEED)

fuzz:
	@$(SETUP) fuzz
	@$(PY) -m tests.fuzz --runs $(N) --seed $(SEED)

lint:
	@$(SETUP) dev
	$(PY) -m ruff check .
	$(PY) .ci/types

setup:
	@$(SETUP) dev

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
