# Run `make` or `make help` for the list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Node 24 is an npm package of ours, so the machine's own Node only has to run npm.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
NODE := node --disable-warning=ExperimentalWarning
ONLY ?= main-job

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

.PHONY: install
install: node_modules/.package-lock.json ## Install the npm packages

.PHONY: generate
generate: install ## Make generated/: Envoy's messages and the types of the CRD
	@$(NODE) build/generate.ts

.PHONY: lab
lab: install ## Install and build what a Kubernetes on this machine needs (some minutes, once)
	@$(NODE) lab/main.ts build --install
	@$(NODE) build/envoy.ts

.PHONY: images
images: generate lab ## Bundle the programs and make their images, without Docker
	@$(NODE) build/bundle.ts
	@$(NODE) build/images.ts

.PHONY: lint
lint: generate ## Types, lint rules, unused code
	@tsc --noEmit
	@oxlint --type-aware --deny-warnings
	@knip

.PHONY: unit
unit: generate ## The tests that need nothing but Node and Envoy
	@npm test --silent -- --selectProjects unit

.PHONY: test
test: lint images ## Everything: unit tests, a real API server, a real node, the end-to-end runs
	@$(NODE) test/run-all.ts

.PHONY: e2e
e2e: images ## One end-to-end run on a real node: make e2e ONLY=main-job | bad-input | examples | rolls
	@$(NODE) test/e2e/$(ONLY).ts

.PHONY: demo
demo: install ## See it work on this machine: one Microservice, requests split 90/10, then 50/50
	@$(NODE) test/e2e/demo.ts check
	@$(MAKE) --no-print-directory images
	@$(NODE) test/e2e/demo.ts up

.PHONY: demo-down
demo-down: install ## Stop what `make demo` left running
	@$(NODE) test/e2e/demo.ts down

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf generated out node_modules
