# make maze: the paper's navigation experiment, from data to report; make atari: the one on Atari;
# make doom: keys and mouse, in scenarios of Doom.
# make test: all tests, of exhaustive ones a tenth; make test-exhaustive: all of those, too.
# make libtpu: the compiler for TPUs, for launch/preflight.py.

# What .venv is made with: the first of these that can; PYTHON=... for another one.
PYTHON ?=
PYTHONS = python3 python3.11 python3.12 python3.13
BIN = .venv/bin

.PHONY: maze study atari atari_study doom figures test test-exhaustive lint benchmark libtpu clean

maze: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/maze.py:desk

study: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/maze.py:study

atari: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/atari.py:desk

atari_study: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/atari.py:study

doom: .venv/installed
	$(BIN)/python -m experiments.reproduce --config=experiments/configs/doom.py:desk

# All figures and tables of the paper; PRESET=tiny takes minutes, desk about three hours.
PRESET ?= desk

figures: .venv/installed
	set -e; for figure in 5 table4 6 4 2 3; do \
	  $(BIN)/python -m experiments.reproduce \
	    --config=experiments/configs/paper.py:figure=$$figure,preset=$(PRESET); \
	done

PYTEST = $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder

test: .venv/installed .libtpu/installed
	$(PYTEST)

test-exhaustive: .venv/installed .libtpu/installed
	$(PYTEST) --exhaustive

lint: .venv/installed
	$(BIN)/ruff check .

benchmark: .venv/installed
	$(BIN)/python -m experiments.benchmark

# Says why a Python cannot make .venv.
define NEEDS_PYTHON
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
  print("is %d.%d" % sys.version_info[:2])
  sys.exit(1)
try:
  import ensurepip, venv
except ImportError:
  print("has no venv (Debian and Ubuntu have it in the package python%d.%d-venv)"
        % sys.version_info[:2])
  sys.exit(1)
endef
export NEEDS_PYTHON

# Installs again when the requirements change; an install that failed is not taken for a good one.
.venv/installed: requirements.txt
	@for python in $(or $(PYTHON),$(PYTHONS)); do \
	  reason=$$($$python -c "$$NEEDS_PYTHON" 2> /dev/null) && break; \
	  reasons="$${reasons:+$$reasons, }$$python $${reason:-is not there}"; python=; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11, 3.12 or 3.13 is needed: $$reasons. Try: make maze" \
	    'PYTHON=/path/to/python3.12' >&2; exit 1; \
	fi; \
	echo "Installing the requirements into .venv with $$python (about a minute, 2.5 GB) ..."; \
	$$python -m venv .venv
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
