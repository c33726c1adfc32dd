# make repro   install, mend what a crash left, take what a DVC remote has, run the rest, show the scores
# make test    install, run every test and check of the code
# make pages   run every command of README and docs/, and compare what it prints with what they show
# make check   check the outputs of the pipeline
# make verify  run every stage again, and compare with what is committed
# make stale   name the stages whose inputs are not those in dvc.lock
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
REQUIREMENTS := $(wildcard requirements/*.txt)
export PATH := $(CURDIR)/$(BIN):$(PATH)
SHELL := bash
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH

# DVC advises to push also where there is nowhere to push to
REMOTE = $$(grep -cs remote .dvc/config .dvc/config.local | awk -F: '{ n += $$2 } END { print n + 0 }')

.PHONY: repro test pages check verify stale lint lock

repro: $(INSTALLED)
	python -m vintage mend
	@remote=$(REMOTE); pull=; [ $$remote = 0 ] || ! python -m vintage pull || pull=--pull; \
	echo dvc repro $$pull; set -o pipefail; PYTHONUNBUFFERED=1 dvc repro $$pull | awk -v remote=$$remote \
		'remote || !/^Use `dvc push` to send/ { print; fflush() }'
	python -m vintage show

test: $(INSTALLED)
	ruff check .
	ruff format --check .
	mypy
	OMP_NUM_THREADS=1 pytest -n 2 --dist worksteal -m "not pages"  # on two cores, two tests of one thread each

pages: $(INSTALLED)
	OMP_NUM_THREADS=1 pytest -n 2 --dist worksteal -m pages

check: $(INSTALLED)
	python -m vintage check

verify: $(INSTALLED)
	python -m vintage verify

stale: $(INSTALLED)
	python -m vintage stale

lint: $(INSTALLED)
	ruff check --fix .
	ruff format .
	mypy

$(INSTALLED): $(REQUIREMENTS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	python -m pip install --quiet --disable-pip-version-check $(REQUIREMENTS:%=-r %)
	python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# pin the newest versions that pyproject.toml allows, and this torch, in an environment of its own
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet torch==2.13.0 .[dev]
	build/lock/bin/python -m vintage.repository.requirements
