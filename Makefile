# Two commands do all the set-up on a fresh machine: `make demo` and `make test`. The work is in noxfile.py.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes

.PHONY: help demo test check matrix nat soak conformance mutations bench bench-links bench-lossy docs package lock build clean
help:            ## this list
	@sed -n 's/^\([a-z-]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: build      ## the main job in this terminal: meet, talk, close, reset, be killed
	@$(BIN)/adieu demo $(ARGS)

test: $(VENV)/.dev build   ## set up and run every test (asks before it installs system packages)
	@$(BIN)/nox -s test -- $(ARGS)

check: $(VENV)/.dev build  ## lint, types, import contracts, generated files
	@$(BIN)/nox -s check

matrix: $(VENV)/.dev build  ## pages and programs in every pairing, in real Chromium and Firefox: reports/matrix.md
	@$(BIN)/nox -s matrix -- $(ARGS)

nat: $(VENV)/.dev build  ## two programs through every pair of NATs, as root: tests/e2e/reports/nat.md
	@$(BIN)/nox -s nat

soak: $(VENV)/.dev build  ## 2000 resets in one page of each browser; a quarter of an hour: reports/soak.md
	@$(BIN)/nox -s soak -- $(ARGS)

conformance: $(VENV)/.dev build  ## the W3C's tests beside Chromium's and Firefox's results: reports/conformance.md
	@$(BIN)/nox -s conformance -- $(ARGS)

mutations: $(VENV)/.dev build  ## breaks rules and bounds one by one: do the tests see it? reports/mutations.md
	@$(BIN)/nox -s mutations -- $(ARGS)

bench: $(VENV)/.dev build  ## speed beside the peers, one run, alternating: benchmarks/report.md
	@$(BIN)/nox -s bench -- $(ARGS)

bench-links: $(VENV)/.dev  ## lossy links in virtual time, fairness, and 10000 links at random: benchmarks/links.md
	@$(BIN)/nox -s bench_links

bench-lossy: $(VENV)/.dev build  ## real senders and browsers over an emulated link that loses: benchmarks/lossy.md
	@$(BIN)/nox -s bench_lossy -- $(ARGS)

docs: $(VENV)/.dev build  ## the pages of docs/ as a site: docs/_build/index.html
	@$(BIN)/nox -s docs

package: $(VENV)/.dev build  ## what is published, into dist/: made, checked, installed and used
	@$(BIN)/nox -s package

lock: $(VENV)/.dev  ## renew requirements/*.txt
	@$(BIN)/nox -s lock

build: $(VENV)/.run        # the wheel, into .venv; cargo rebuilds only what changed
	@$(BIN)/python tools/build.py

$(VENV)/.run: requirements/run.txt tools/bootstrap.py
	@$(PYTHON) tools/bootstrap.py $(VENV)
	@$(PIP) -r requirements/run.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@$(PIP) -r requirements/dev.txt
	@touch $@

clean:           ## remove what was built
	rm -rf $(VENV) target dist .cache reports
