# make demo   sets up and shows the main job        make test   sets up and passes the tests
# make check  linters, types, layers                make bench  speed, as ratios of one run
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export SPOTTERD_STATE_DIR ?= $(CURDIR)/out/state

.PHONY: help demo test check bench deb pycuda vm-test fault-test flood-test soak start-bench transcript kill-test systemd-test arm64-test homeassistant-test page-bench clean
help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

demo: .venv/.demo ## set up, then show the daemon, a broker and live detections
	@$(BIN)/spotterd demo $(ARGS)

test: .venv/.test ## set up, then run the tests (ARGS='-k letterbox' for some)
	@tools/setup.sh mosquitto
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/.test ## ruff, mypy --strict, layers
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@PYTHONPATH=daemon $(BIN)/lint-imports --no-logo >.venv/layers.log 2>&1 || { cat .venv/layers.log; exit 1; }
	@echo "check: ruff, mypy and layers are clean"

bench: .venv/.test ## frames/s and CPU time, as ratios of one run (ULTRALYTICS=python: against that, too)
	@$(BIN)/spotterd bench $(ARGS)
ifdef ULTRALYTICS
	@SPOTTERD=$(BIN)/spotterd $(ULTRALYTICS) tools/versus_ultralytics.py $(CLIP) engines/sky.onnx
endif

deb: .venv/.demo ## Debian package in dist/ (VENDOR=1: all Python packages inside, no network needed)
	@tools/deb.sh $(if $(VENDOR),--vendor)

pycuda: .venv/.test ## the true pycuda without a GPU: build it (minutes, once), run our calls through it
	@tools/pycuda.sh
	@$(BIN)/python -m pytest tests/gpu $(ARGS)

vm-test: out/vm/disk.ext4 ## a V4L2 camera that breaks in every way, a build without memory, in a VM (root, 15 min)
	@tools/setup.sh vm
	@tests/vm/run.sh out/vm tests/vm/cycles.py
	@tests/vm/run.sh out/vm tests/vm/memory.py

out/vm/disk.ext4: tests/vm/image.sh | .venv/.test
	@tools/setup.sh vm
	@echo "vm-test: building the machine (about 5 minutes, once)"
	@PYTHON=$(CURDIR)/$(BIN)/python tests/vm/image.sh out/vm

fault-test: .venv/.test ## ten minutes of killed brokers, cut links, full disks, kill -9 (root, mosquitto)
	@$(BIN)/python tests/journeys/faults.py $(ARGS)

flood-test: .venv/.test ## frame rate and memory under 1,000 messages/s, beside peace (mosquitto, 2 min)
	@$(BIN)/python tests/journeys/flood.py $(ARGS)

MINUTES ?= 60
soak: .venv/.test ## resident memory minute by minute, and its slope (MINUTES=60, mosquitto)
	@$(BIN)/python tests/journeys/soak.py --minutes $(MINUTES) $(ARGS)

start-bench: .venv/.test ## seconds to the first detection, of the first start and of later ones (mosquitto, 1 min)
	@$(BIN)/python tests/journeys/starts.py $(ARGS)

transcript: .venv/.test ## write docs/remote-transcript.md: an operator and a subscriber (mosquitto, 2 min)
	@$(BIN)/python tests/journeys/transcript.py

kill-test: .venv/.test ## the daemon killed at 100 random moments, an engine's build at 50 (mosquitto, 10 min)
	@$(BIN)/python tests/journeys/killed.py
	@SPOTTERD_KILLS=50 $(BIN)/python -m pytest tests/builder/test_supervise.py -k killed $(ARGS)

SYSTEMD_ROOT ?= $(CURDIR)/out/systemd-root
systemd-test: .venv/.test ## the package in a real systemd (root, 10 min)
	@tools/setup.sh systemd
	@tests/nspawn/root.sh $(SYSTEMD_ROOT)
	@tools/deb.sh --vendor
	@SPOTTERD_SYSTEMD_ROOT=$(SYSTEMD_ROOT) $(BIN)/python -m pytest tests/nspawn $(ARGS)

arm64-test: .venv/.demo ## installed and demonstrated in an emulated aarch64 Debian (root, 20 min)
	@PYTHON=$(CURDIR)/$(BIN)/python tests/arm64/run.sh $(CURDIR)/out/arm64 300

HOMEASSISTANT ?= $(CURDIR)/out/homeassistant
homeassistant-test: .venv/.test ## a real Home Assistant makes entities of us (Python 3.13, mosquitto)
	@tools/homeassistant.sh $(HOMEASSISTANT)
	@SPOTTERD_HOMEASSISTANT=$(HOMEASSISTANT)/bin/python $(BIN)/python -m pytest -s tests/publish/test_real_homeassistant.py $(ARGS)

page-bench: .venv/.test ## the frame rate that two viewers of the local page leave (4 min, an idle machine)
	@$(BIN)/python tests/journeys/viewers.py $(ARGS)

clean: ## remove the environment and everything made here
	rm -rf .venv out build dist daemon/*.egg-info

# One environment in the checkout; made again when the metadata changes.
.venv/.demo: setup.py tools/setup.sh
	@PYTHON=$(PYTHON) tools/setup.sh venv demo
.venv/.test: setup.py tools/setup.sh
	@PYTHON=$(PYTHON) tools/setup.sh venv test
