# Everything a newcomer or CI runs. Each target is safe to run twice.
# The recipes name .venv relative to this folder, so that a checkout in a path with spaces works.

PYTHON ?= python3
MW := .venv/bin/python -m meshwright
ENV ?=

.DEFAULT_GOAL := help
.PHONY: help demo test tools unit e2e bench bench-objects bench-certs soak lint docs schema pin lock clean

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

.venv/ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "python3 is missing: apt-get install -y python3-venv" >&2; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv || { echo "venv is missing: apt-get install -y python3-venv" >&2; exit 1; }
	.venv/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch .venv/ready

demo: .venv/ready ## Bring up a mesh with Bookinfo and print its address (ENV=lab or ENV=dev chooses)
	@env="$(ENV)"; test -n "$$env" || env=$$($(MW) preflight --choose) || exit 1; \
	if [ "$$env" != lab ]; then .venv/bin/python -m meshwright.tools.pin; fi; \
	$(MW) preflight "$$env" && \
	if [ "$$env" = lab ]; then $(MW) apply lab lab --yes || exit 1; fi && \
	$(MW) apply "$$env" --yes && \
	eval "$$($(MW) ingress "$$env")" && \
	printf '\nBookinfo answers at http://%s/productpage\n' "$$GATEWAY_URL"

test: lint tools unit e2e ## Everything that proves it

# Unit tests hold what they say of Istio's files against the real istioctl, where it is.
tools: .venv/ready ## k3d, kubectl, istioctl and Istio's samples, as the lab has them
	$(MW) apply lab tools --yes

unit: .venv/ready ## Tests without a cluster
	.venv/bin/python -m pytest tests/unit -n auto

e2e: .venv/ready ## Tests on a real mesh in the lab (builds the lab where it is missing)
	.venv/bin/python -m pytest tests/e2e -v --durations=40

bench: .venv/ready ## Figures for docs/benchmarks.md
	.venv/bin/python tests/bench/run.py
	.venv/bin/python tests/bench/objects.py
	.venv/bin/python tests/bench/certs.py

bench-objects: .venv/ready ## Those of planning and applying alone (SIZES=10,1000 chooses)
	.venv/bin/python tests/bench/objects.py $(if $(SIZES),--sizes $(SIZES))

bench-certs: .venv/ready ## Those of changing the root of a mesh alone (REQUESTS=1000 CASES=c MODES=live chooses)
	.venv/bin/python tests/bench/certs.py $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(CASES),--cases $(CASES)) \
		$(if $(MODES),--modes $(MODES))

soak: .venv/ready ## Long tests: a bring-up killed at thirty instants, applies of objects and changes of the root at fifty each, promotions at twenty; two clusters
	.venv/bin/python -m pytest tests/soak -v

lint: .venv/ready ## ruff and mypy --strict
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy

schema: .venv/ready ## Write group_data/schema.json anew from the model
	.venv/bin/python -m meshwright.environment.schema > group_data/schema.json.new
	mv group_data/schema.json.new group_data/schema.json

pin: .venv/ready ## Fill the tools' checksums from their publishers
	.venv/bin/python -m meshwright.tools.pin

docs: schema ## Generated parts of the documentation

lock: .venv/ready ## Pin the newest allowed versions of the dependencies
	.venv/bin/python -m pip install --quiet pip-tools
	.venv/bin/python -m piptools compile --quiet --extra dev --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml

clean: ## Stop the lab's engine and remove everything that was built here
	@if [ -x .venv/bin/python ]; then .venv/bin/python -m meshwright.lab.clean; fi
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
