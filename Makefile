# Every target sets itself up: a virtual environment, pinned packages, system libraries where that is allowed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ORACLES := .venv-oracles
PYTEST := FLEETLABEL_ORACLES="$(CURDIR)/$(ORACLES)/bin/python" $(BIN)/pytest -q -n 2 --dist loadgroup

.PHONY: help setup demo run test quick check format proto oracles clean

help:
	@echo "make demo     a synthetic drive, labelled and measured, in demo/"
	@echo "make run DRIVE=... MODEL=... [OUT=drive.zarr] [ARGS='--tiles 3x2']   label a drive"
	@echo "make test     all tests               make quick    the fast ones"
	@echo "make soak     editors, workers, schedulers and drivers killed 200 times; a fleet of 200 logs"
	@echo "make check    style, types, layers    make format   mend the style"
	@echo "make proto    generate code           make setup    install only"
	@echo "make clean    remove what make made"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt .ci/setup
	@PYTHON="$(PYTHON)" .ci/setup $(VENV)
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/fleetlabel demo $(ARGS)

# DRIVE, MODEL and OUT reach the shell as variables, so that blanks in them do no harm.
run: export DRIVE := $(DRIVE)
run: export MODEL := $(MODEL)
run: export OUT := $(OUT)
run: $(STAMP)
	@test -n "$$DRIVE" || { echo "make run: give DRIVE=path/to/a/drive/log" >&2; exit 2; }
	@test -n "$$MODEL" || { echo "make run: give MODEL=path/to/yolo11n.pt (or .onnx, .engine, an OpenVINO folder)" >&2; exit 2; }
	@$(BIN)/fleetlabel run "$$DRIVE" --model "$$MODEL" --out "$${OUT:-$$(basename "$$DRIVE").zarr}" $(ARGS)

test: $(STAMP)
	@$(MAKE) --no-print-directory oracles || echo "make test: the oracles could not be installed; tests that need them skip" >&2
	@$(PYTEST) $(ARGS)

quick: $(STAMP)
	@$(PYTEST) -m "not slow" $(ARGS)

# Editors, and a fleet's processes, that are killed at 200 random moments, on a disk that is really waited for; and a
# fleet of 200 logs, some of which are poisoned; and the app driven in its window, in a town and, with FLEETLABEL_DATA, on a real street.
soak: $(STAMP)
	@FLEETLABEL_SOAK_KILLS=200 FLEETLABEL_SOAK_LOGS=200 FLEETLABEL_SOAK_WINDOWS=1 FLEETLABEL_SYNC=1 $(BIN)/pytest -q \
		tests/labels/test_killed_editors.py tests/cluster/test_chaos.py tests/cluster/test_poisoned.py \
		tests/catalog/test_killed_engine.py tests/client/test_killed_server.py tests/viewers/app/test_window.py $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@.ci/generated $(BIN)/python --check

format: $(STAMP)
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

# BREAK=yes: also where clients that were made for the API as it was would no longer work with it.
proto: $(STAMP)
	@.ci/generated $(BIN)/python $(if $(filter yes,$(BREAK)),--accept-break)

# TrackEval, py-motmetrics, nuscenes-devkit, Datumaro and others, which tests compare our metrics and label files with,
# in an environment of their own.
oracles: $(ORACLES)/.installed

$(ORACLES)/.installed: .ci/oracles.txt
	@echo "setup: installing TrackEval, py-motmetrics, nuscenes-devkit and Datumaro into $(ORACLES)"
	@$(PYTHON) -m venv $(ORACLES)
	@$(ORACLES)/bin/pip install --quiet --disable-pip-version-check --no-deps -r .ci/oracles.txt || { rm -rf $(ORACLES); exit 1; }
	@touch $@

clean:
	rm -rf $(VENV) $(ORACLES) .pytest_cache .mypy_cache .ruff_cache .hypothesis
