# make demo, make test, and what they need. `make help` lists them.
PYTHON ?= python3
# The CPU build. On a machine whose package index offers only CUDA builds, name PyTorch's CPU index:
#   make demo TORCH_PIP="--index-url <PyTorch's CPU wheel index>"
TORCH ?= torch==2.13.0
TORCH_PIP ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help demo test test-all lint build check serve clean
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Install the venv module first: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check $(TORCH_PIP) "$(TORCH)"
	$(BIN)/pip install -q --disable-pip-version-check -e ".[dev]"
	@touch $@

.PHONY: system
system: # the one package that pip cannot bring
	@command -v bwrap >/dev/null || if [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq bubblewrap; \
	else echo "The box needs bubblewrap, once: sudo apt-get install bubblewrap"; exit 1; fi

demo: $(READY) system ## build, grade a made-up cohort, leave JupyterHub open on 127.0.0.1
	@$(BIN)/bootcamp demo

serve: $(READY) system ## JupyterHub over the results there are
	@$(BIN)/bootcamp serve

build: $(READY) ## lessons and solutions -> release/
	@$(BIN)/bootcamp build

check: $(READY) ## the gate for every assignment, 20 seeds
	@$(BIN)/bootcamp check

.PHONY: bench-box
bench-box: $(READY) system ## what a box costs, beside its targets (root; minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograder.bench

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

# In the order of their names: the slow files (browser, hostile) have few tests, and come last where xdist orders them.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 12 --durations-min 20

# Two draws of some exercises, other ones for every commit; `make check` is the whole gate.
.PHONY: gate-sample
gate-sample: $(READY)
	@$(BIN)/bootcamp check --seeds 2 --sample 6 --seed "$$(git rev-parse --short HEAD 2>/dev/null || echo release)"

test: $(READY) system lint gate-sample ## everything that a change is judged by
	@$(PYTEST)

test-all: $(READY) system lint check ## the same, with nothing sampled
	@BOOTCAMP_TEST_ALL=1 $(PYTEST)

# Minutes the first time (images with torch), and kept in var/containers for the next.
.PHONY: test-containers
test-containers: $(READY) system ## the stack of docker/compose, and docker/machine under systemd, in real containers (root, podman, podman-compose, debootstrap, runc)
	@BOOTCAMP_TEST_CONTAINERS=1 OMP_NUM_THREADS=1 $(BIN)/pytest -q -rA -p no:cacheprovider tests/containers

.PHONY: bench-path
bench-path: $(READY) system ## the path of a submission: resubmission, queue, export, backup; over HTTP latency and a deadline spike
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograder.bench.path
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograder.service.bench

.PHONY: bench-plan
bench-plan: $(READY) system ## a deadline's rush through real graders, beside the plan's simulation of it (minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograder.bench.rush

.PHONY: bench-pages
bench-pages: $(READY) ## what every page costs with 10,000 students, in SQLite and PostgreSQL (minutes)
	@OMP_NUM_THREADS=1 $(BIN)/python -m autograder.bench.pages

.PHONY: bench-progress
bench-progress: $(READY) ## the tracker's speed in CPU seconds of one thread, beside mirt and girth
	@OMP_NUM_THREADS=1 $(BIN)/bootcamp progress bench

.PHONY: sbom
sbom: $(READY) ## bills of materials of the images (CycloneDX), into var/sbom
	@mkdir -p var/sbom
	@for image in student engine hub; do $(BIN)/python docker/lock/sbom.py $$image > var/sbom/$$image.cdx.json; done
	@ls -l var/sbom

clean: ## remove the environment and the demo's state
	rm -rf .venv var
