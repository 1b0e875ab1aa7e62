# Two commands do everything: `make demo` and `make test`. Both set up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2

.PHONY: setup demo test lint fuzz mutants test-lowest test-wheel docs clean

setup: .venv/installed

# Installs again only when the packages asked for have changed.
.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "sparsekit needs Python 3.11 or newer; set PYTHON=...")'
	@echo 'Setting up .venv: some minutes, as pip downloads several GB (most of it PyTorch). It stays silent meanwhile.'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	@touch $@

demo: setup
	$(BIN)/python demo.py

test: setup
	$(BIN)/python -m pytest -n $(JOBS)

# The wheel in empty environments of every Python that is here.
test-wheel: setup
	$(BIN)/python tests/wheel.py

# Each reader with 240 damaged files, 21,000 in all, and each command killed at many moments.
fuzz: setup
	FUZZ_CASES=240 $(BIN)/python -m pytest -n $(JOBS) tests/faults/test_fuzz.py
	FAULTS=all $(BIN)/python -m pytest -n $(JOBS) tests/faults/test_kills.py

# Which of twenty wrong lines no test notices; docs/testing.md lists them.
mutants: setup
	$(BIN)/python tests/faults/mutants.py

# The whole suite with the lowest versions that pyproject.toml allows.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct -e '.[all,test]'
	.venv-lowest/bin/python -m pytest -n $(JOBS)

docs: setup
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .venv-lowest demo build dist docs/_build
