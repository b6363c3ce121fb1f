# make maze: the paper's navigation experiment, from data to report; make atari: the one on Atari.
# make test: all tests; make libtpu: the compiler for TPUs, for launch/preflight.py.

PYTHON ?= python3
BIN = .venv/bin

.PHONY: maze study atari atari_study figures test lint benchmark libtpu clean

maze: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/maze.py:desk

study: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/maze.py:study

atari: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/atari.py:desk

atari_study: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/atari.py:study

# All figures and tables of the paper; PRESET=tiny takes minutes, desk about three hours.
PRESET ?= desk

figures: .venv/installed
	set -e; for figure in 5 table4 6 4 2 3; do \
	  $(BIN)/python -m experiments.reproduce \
	    --config=experiments/configs/paper.py:figure=$$figure,preset=$(PRESET); \
	done

test: .venv/installed .libtpu/installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

lint: .venv/installed
	$(BIN)/ruff check .

benchmark: .venv/installed
	$(BIN)/python -m experiments.benchmark

define NEEDS_PYTHON
import sys
if sys.version_info[:2] != (3, 11):
  sys.exit("Python 3.11 is needed, and $(PYTHON) is %d.%d: on 3.12 and later the requirements do not "
           "install (envlogger 1.2 ends with 3.11). Try: make maze PYTHON=python3.11"
           % tuple(sys.version_info[:2]))
endef
export NEEDS_PYTHON

# Installs again when the requirements change; an install that failed is not taken for a good one.
.venv/installed: requirements.txt
	@$(PYTHON) -c "$$NEEDS_PYTHON"
	@echo 'Installing the requirements into .venv (about a minute, 2.5 GB) ...'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

libtpu: .libtpu/installed

# The compiler for TPUs, of the version that jax[tpu] of requirements.txt wants; for
# launch/preflight.py, 213 MB. Not in .venv: every JAX program there would look for TPUs first.
.libtpu/installed: Makefile .venv/installed
	@echo 'Getting libtpu (213 MB) ...'
	rm -rf .libtpu
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --target=.libtpu \
	  libtpu==0.0.42.1
	touch $@

clean:
	rm -rf .venv .libtpu runs
