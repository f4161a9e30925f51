# Two commands matter: `make run` opens the app, `make test` runs the whole suite. Both start from a fresh clone.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
NPM    := $(shell command -v npm 2>/dev/null)
TOOLS  := node_modules/.bin

ifeq ($(UV),)
  MAKE_VENV = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet --upgrade pip
  INSTALL   = $(BIN)/python -m pip install --quiet
else
  MAKE_VENV = uv venv --quiet --allow-existing --python '>=3.11' $(VENV)
  INSTALL   = uv pip install --quiet --python $(BIN)/python
endif

.PHONY: run test quick check scripts format bench truth sweep clean

# Side by side, each on one thread: on few cores threads wait for each other more than they work.
WORKERS ?= 2
TESTED  := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# All but what is longest in the contract: every option at both of its bounds and beyond.
QUICK   := $(addprefix tests/test_, contract.py layers.py registry.py identities.py) -k "not bounds"

run: $(VENV)/.ready
	$(BIN)/python app.py

test: $(VENV)/.ready-test
	$(TESTED)

quick: $(VENV)/.ready-test
	$(TESTED) $(QUICK)

check: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m explainers.commands.docs --check
	@$(MAKE) --no-print-directory scripts

# The page's scripts and styles. The app needs none of these tools, so a machine without them can check the rest.
# Three tabs are not typed in every place yet: they are checked by what is inferred, all else strictly.
scripts:
	@if [ -z "$(NPM)" ]; then echo "node and npm are not installed: scripts and styles of the page were not checked."; \
	elif ! $(MAKE) --no-print-directory node_modules/.ready; then \
	  echo "npm could not fetch the tools of package.json: scripts and styles of the page were not checked."; \
	else $(TOOLS)/biome ci && $(TOOLS)/tsc && $(TOOLS)/tsc -p tsconfig.partly.json && node --test tests/javascript/*.test.js; fi

format: $(VENV)/.ready-test $(if $(NPM),node_modules/.ready)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(if $(NPM),$(TOOLS)/biome check --write)
	$(BIN)/python -m explainers.commands.docs

bench: $(VENV)/.ready-bench
	PYTHONPATH=. $(BIN)/python tests/benchmarks/bench.py --long
	PYTHONPATH=. $(BIN)/python tests/benchmarks/attending.py
	PYTHONPATH=. $(BIN)/python tests/benchmarks/galleries.py --long
	PYTHONPATH=. $(BIN)/python tests/benchmarks/imagining.py

truth: $(VENV)/.ready-test
	PYTHONPATH=. $(BIN)/python tests/benchmarks/truth.py

sweep: $(VENV)/.ready-test
	PYTHONPATH=. $(BIN)/python tests/sweep.py
	PYTHONPATH=. $(BIN)/python tests/sweep.py --attention

$(VENV)/.ready: requirements.txt
	@$(if $(UV),true,$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))') || { echo "Sightglass needs Python 3.11 or newer."; exit 1; }
	@echo "Installing into $(VENV): about 6 GB, some minutes; once."
	test -x $(BIN)/python || { $(MAKE_VENV); }
	$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready tests/requirements.txt
	$(INSTALL) -r tests/requirements.txt
	@touch $@

$(VENV)/.ready-bench: $(VENV)/.ready-test tests/benchmarks/requirements.txt
	$(INSTALL) -r tests/benchmarks/requirements.txt
	@touch $@

node_modules/.ready: package.json
	npm install --no-package-lock --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf $(VENV) node_modules .mypy_cache .ruff_cache .pytest_cache
