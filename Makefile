# Everything runs in one virtual environment; `make` alone lists what there is.

VENV ?= .venv
PYTHON ?= python3
# Another build of PyTorch than the locked one, for another CUDA: docs/install.md.
TORCH ?=
TORCH_INDEX ?=
PROTOCOL ?= paper
PRECISION ?=
TARGET ?= table1
DEVICES ?= 1 4 16
# One process per core, each with a stretch of neighboring tests, which share fixtures.
WORKERS := --numprocesses=logical --maxprocesses=8 --dist=worksteal

# The jobs call `python`, pytest calls the scripts: both are to find this environment first.
export PATH := $(abspath $(VENV))/bin:$(PATH)

# Every job, and many a test, is a Python process, which would compile each module that it imports if none were
# written: twice the CPU time of a start.
unexport PYTHONDONTWRITEBYTECODE

# Snakemake keeps a cache in the home folder, which the account of a service may not have.
ifeq ($(XDG_CACHE_HOME)$(shell test -w "$$HOME" && echo writable),)
export XDG_CACHE_HOME := $(abspath build/cache)
endif

PIP := python -m pip install -qq --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help env pull plan quickstart everything test test-slow test-faults test-slurm install-slurm install-sshd bench lint format docs dry-run lock clean

help: ## List the commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)$$/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

env: $(VENV)/installed ## Create the environment from requirements.lock (PYTHON=python3.12 selects the Python)

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: $(PYTHON) is Python %d.%d; condensery needs 3.11 or newer: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the versions of requirements.lock into $(VENV): a download of 2 to 3 GB on Linux, most of it PyTorch"
ifdef TORCH
	@sed -nE '/^(torch|torchvision|triton|setuptools|nvidia-[^=]*|cuda-[^=]*)==/d; s/^([^ ]+==.*) \\$$/\1/p' requirements.lock > $(VENV)/requirements.txt
	@$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --constraint $(VENV)/requirements.txt 'setuptools>=77.0.3' $(TORCH)
	@$(PIP) --requirement $(VENV)/requirements.txt
else
	@$(PIP) --requirement requirements.lock
endif
	@$(PIP) --no-deps --no-build-isolation --editable .
	@python -m pip check --disable-pip-version-check
	@touch $@

quickstart: env ## Condense the built-in digits and compare the methods: under four minutes on two cores
	@echo "Condensing 8x8 digits to 1 and 10 images per class: random, herding, DSA, DM, 2 sets each; then 2 networks on each set."
	snakemake --cores all --max-threads 1 --quiet host reason --config protocol=quickstart -- all
	@echo
	@sed '/^## Every cell/,$$d' results/quickstart/tables/table1.md | grep '^|'
	@echo
	@echo "Test accuracy in percent after training on the synthetic images alone, of 2 sets x 2 networks where a cell states no other n. Look at:"
	@for file in figures/summary.png figures/figure2.png report.html; do test -s results/quickstart/$$file && echo "  results/quickstart/$$file" || exit 1; done
	@echo "Next, after source $(VENV)/bin/activate:"
	@echo "  condensery show results/quickstart/synthetic/digits/dm/convnet-d2-w32/ipc10/seed0.safetensors   what a set is"
	@echo "  make plan PROTOCOL=laptop                                                             what Table 1 would cost here"
	@echo "  snakemake --cores all --config protocol=laptop -- table1                              make it"

everything: env ## Run every table and figure on the digits with a few steps: five to ten minutes on two cores
	@# One job more than cores: short jobs wait for the disk and for Snakemake.
	snakemake --cores $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --max-threads 1 --quiet rules host reason \
	    --config protocol=smoke -- all
	@for file in tables/table1.md figures/figure2.png report.html; do test -s results/smoke/$$file && echo "  results/smoke/$$file" || exit 1; done

pull: env ## Fetch the released sets and rows (docs/artifacts.md), and mark them as up to date for Snakemake
	dvc pull
	snakemake --touch --cores 1 --quiet all --config protocol=laptop -- all
	snakemake --touch --cores 1 --quiet all --config protocol=few -- table1 table6 table_methods figure4

plan: env ## Print jobs, hours, disk and memory before starting: make plan TARGET=table1 PROTOCOL=paper DEVICES="4 8"
	@snakemake --dry-run --cores all --config protocol=$(PROTOCOL) $(PRECISION:%=precision=%) -- $(TARGET) 2>&1 \
	    | python scripts/plan.py --protocol $(PROTOCOL) $(PRECISION:%=--precision %) --devices $(DEVICES)

test: env ## Run the tests, except the slow ones
	python -m pytest $(WORKERS)

test-slow: env ## Run the slow tests
	python -m pytest $(WORKERS) -m slow

test-faults: env ## Kill jobs, damage files, fill disks: minutes (FUZZ_SECONDS=600 for ten of fuzzing)
	python -m pytest $(WORKERS) -m faults tests/faults

test-slurm: env ## Run the workflow on a Slurm cluster of several nodes on this machine (a few minutes)
	python -m pytest -m slurm

install-slurm: ## Install the dependencies of test-slurm, as root, on Debian or Ubuntu
	apt-get update --quiet
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends munge slurmctld slurmd slurm-client

install-sshd: ## Install the dependencies of the slow tests over SSH, as root, on Debian or Ubuntu
	apt-get update --quiet
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends openssh-server

bench: env ## Measure the hot loops on this machine: twenty minutes on two idle cores, minutes on a GPU
	python benchmarks/bench.py

lint: env ## Check style and types of code and workflow
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	snakemake --lint

format: env ## Format code and workflow
	ruff check --fix .
	ruff format .
	snakefmt Snakefile workflow

docs: env ## Build the documentation with its API pages as build/site/index.html, and fail on a broken link
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

dry-run: env ## Plan every target that a protocol lists, under every protocol; fail if nothing is planned
	python tests/dry_run.py

lock: ## Resolve the dependencies of pyproject.toml again and rewrite requirements.lock
	$(PYTHON) -m venv --clear build/lock
	build/lock/bin/pip install -qq '.[workflow,docs,dev]'
	build/lock/bin/pip freeze --all --exclude pip --exclude condensery | \
	  sed -E "/^(nvidia-|cuda-|triton=)/s/\$$/ ; sys_platform == 'linux' and platform_machine == 'x86_64'/" > build/requirements.in
	build/lock/bin/pip install -qq pip-tools
	build/lock/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --output-file build/requirements.txt build/requirements.in
	{ sed -n '/^#/p' requirements.lock; sed '/^#/d; /^$$/d' build/requirements.txt; } > build/requirements.lock
	mv build/requirements.lock requirements.lock
	rm -rf build/lock

clean: ## Remove the results of smoke and quickstart, and the caches; keep data, environment and other results
	rm -rf results/smoke results/quickstart build .pytest_cache .mypy_cache .ruff_cache .hypothesis
