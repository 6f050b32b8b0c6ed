# Short names for the commands of CONTRIBUTING.md. `make test ARGS=tests/data` passes arguments.

PYTHON ?= python
BITS ?= build/bits-before.json

.PHONY: help test slow lint docs bits-before bits bench

help:  ## Lists these commands.
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile

test:  ## Runs the default tests, in a process per core.
	$(PYTHON) -m pytest $(ARGS)

slow:  ## Runs the tests that take minutes.
	$(PYTHON) -m pytest -m slow $(ARGS)

lint:  ## Checks format, rules and types.
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

docs:  ## Builds the documentation in site/.
	$(PYTHON) -m mkdocs build --strict

bits-before:  ## Records the bits of every spec, before a change.
	mkdir -p $(dir $(BITS))
	$(PYTHON) experiments/bits/run.py $(ARGS) > $(BITS)

bits:  ## Compares the bits of every spec with the recorded ones, after the change.
	$(PYTHON) experiments/bits/run.py --against $(BITS) $(ARGS)

bench:  ## Measures the training speed; the results go to experiments/benchmarks.
	$(PYTHON) experiments/benchmarks/run.py $(ARGS)
