# Everything is set up in .venv by the first target that needs it; nothing is installed elsewhere.
# `make help` lists the targets. Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
OUT ?= out/demo
SLIDE ?=
READ ?= $(SLIDE)
AGREE ?= $(SLIDE)
RESUME ?=
PEERS ?= out/peers-venv
CROPS ?= ../shared/data/breast_patches
JOBS ?= logical

BIN := $(VENV)/bin
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
STAMP := $(VENV)/.installed-$(VERSION)

.PHONY: help setup demo test test-napari edge-env lint format types contracts check model bench bench-full bench-seams bench-memory bench-edge bench-paper bench-export bench-cohort bench-report bench-scaling faults faults-full lock clean

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## Make .venv and install wsiseg with what its tests need

# The stamp carries the interpreter's version: another one gets a fresh environment.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "wsiseg needs Python 3.11 or newer, found %s: make PYTHON=python3.12" % sys.version.split()[0])'
	@test -f $@ || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing wsiseg into $(VENV) (some minutes: torch is large)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(STAMP)  ## Generate a slide, segment it, and say where the picture is
	$(BIN)/wsiseg demo -o $(OUT)

test: $(STAMP)  ## Run the tests, on every core (JOBS=0: on one)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-napari: $(STAMP)  ## Run the napari plug-in's tests, where a window can be had
	plugins/napari-wsiseg/run_tests.sh $(VENV)

edge-env:  ## Make .venv-edge (Python 3.6, torch 1.10.2): with it, the tests run the runner for devices there
	@$(PYTHON) tests/profiling/edge_environment.py .venv-edge

lint: $(STAMP)  ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(STAMP)  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(STAMP)  ## Check the types
	$(BIN)/mypy

contracts: $(STAMP)  ## Check that imports run one way
	$(BIN)/lint-imports

check: lint types contracts test  ## Everything that the continuous integration runs

model: $(STAMP)  ## Rebuild the bundled model from generated slides; trains on the CPU
	$(BIN)/wsiseg train configs/train_tissue8_demo.yaml -o build/tissue8-demo
	$(BIN)/python -m wsiseg.training.tissue8_demo build/tissue8-demo \
		--page docs/model-cards/tissue8-demo.md $(if $(wildcard $(CROPS)),--crops $(CROPS))

bench: $(STAMP)  ## Measure speed on the CPU, and rewrite the tables of docs/benchmarks.md (under 20 minutes)
	$(BIN)/python benchmarks/throughput.py $(SLIDE) --megapixels 49 --repeats 2 $(RESUME)
	$(BIN)/python benchmarks/limit.py $(RESUME)
	$(BIN)/python benchmarks/graph.py $(RESUME)
	$(BIN)/python benchmarks/int8.py $(AGREE) $(RESUME)
	$(if $(READ),$(BIN)/python benchmarks/reading.py $(READ) $(RESUME),@echo "reading.py left out: name slides with READ=")
	$(if $(AGREE),$(BIN)/python benchmarks/precision.py $(AGREE) $(RESUME),@echo "precision.py left out: name slides with AGREE=")
	$(BIN)/python benchmarks/peers.py $(SLIDE) --megapixels 25 --repeats 1 --environment $(PEERS) $(RESUME)
	$(BIN)/python benchmarks/plot.py

bench-full: $(STAMP)  ## Also slides of up to 5 gigapixels, memory, larger samples; goes on where it was interrupted
	$(MAKE) bench RESUME=--resume
	$(BIN)/python benchmarks/scale.py $(SLIDE) --resume
	$(BIN)/python benchmarks/memory.py $(SLIDE) --resume
	$(BIN)/python benchmarks/throughput.py $(SLIDE) --megapixels 256 --table throughput-full --resume
	$(BIN)/python benchmarks/peers.py $(SLIDE) --megapixels 49 --repeats 1 --table peers-full --environment $(PEERS) --resume
	$(BIN)/python benchmarks/plot.py

bench-seams: $(STAMP)  ## Measure agreement of tiled with untiled prediction
	$(BIN)/python benchmarks/seams.py

bench-memory: $(STAMP)  ## Measure memory against the slide's and the region's size
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/regions.py

bench-edge: $(STAMP)  ## Measure espnet, enet and erfnet on this machine, and write docs/edge.md
	$(BIN)/python benchmarks/edge.py

bench-paper: $(STAMP)  ## Measure all that the paper compares (about 15 minutes), and write docs/paper.md
	$(BIN)/wsiseg profile --paper -o out/paper
	$(BIN)/python benchmarks/paper.py out/paper

bench-export: $(STAMP)  ## Measure each export against the prediction
	$(BIN)/python benchmarks/export.py
	$(if $(SLIDE),$(BIN)/python benchmarks/export.py $(SLIDE) --table export-real)

faults: $(STAMP)  ## Damage slides, kill runs and feed hostile files: what becomes of it (under 30 minutes)
	$(BIN)/python benchmarks/faults/mutate_slides.py --count 150
	$(BIN)/python benchmarks/faults/kill_runs.py --kills 20
	$(BIN)/python benchmarks/faults/starved_runs.py
	$(BIN)/python benchmarks/faults/hostile_files.py

faults-full: $(STAMP)  ## The same, 2,000 mutations and 100 kills, into docs/reliability.md; goes on where it was interrupted
	$(BIN)/python benchmarks/faults/mutate_slides.py --count 2000 -o out/faults-full
	$(BIN)/python benchmarks/faults/kill_runs.py --kills 100 -o out/faults-full
	$(BIN)/python benchmarks/faults/starved_runs.py -o out/faults-full
	$(BIN)/python benchmarks/faults/hostile_files.py -o out/faults-full
	$(BIN)/python benchmarks/faults/page.py out/faults-full

lock: $(STAMP)  ## Write requirements/test.lock.txt and docs/licences.md of what is installed in .venv
	$(BIN)/python requirements/lock.py

bench-cohort: $(STAMP)  ## Run 40 slides on two workers, one of which is killed; compare the bytes
	$(BIN)/python benchmarks/cohort.py

bench-report: $(STAMP)  ## Open the report of 500 slides in headless Chromium
	$(BIN)/python benchmarks/report.py

bench-scaling: $(STAMP)  ## Measure one worker against two, and the scheduler under load
	$(BIN)/python benchmarks/scaling.py

clean:  ## Remove the environment, caches and what the demo made
	rm -rf $(VENV) $(VENV)-napari .venv-edge out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
