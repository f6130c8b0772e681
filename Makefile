# A fresh machine needs Go 1.26 and this file: `make run`, then the page that it names. `make help` lists the rest.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
export CGO_ENABLED := 0

GO := go build -v -trimpath -ldflags "-s -w"
PROGRESS := 2>&1 | awk -f deploy/progress.awk
PROGRAMS := ./exporter ./eventbridge ./ruler ./deploy/nocturne
VM := github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics
VL := github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs
CONSOLE := ruler/console/static/built/index.html
NPM := $(if $(shell command -v npm),grafana-plugin/node_modules/.package-lock.json)
PAGES := grafana-plugin/webpack.config.js $(shell find grafana-plugin/src -type f -not -name '*.test.*')
FUZZTIME ?= 60s
CHAOSTIME ?= 10m

.PHONY: help build test lint fmt fuzz bench chaos e2e run windows package plugin clean
help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' Makefile | expand -t 12

build: bin/victoria-metrics bin/victoria-logs $(CONSOLE) ## build every program into bin/
	@echo "our programs$(if $(wildcard bin/nocturne),, (first time: some minutes))"
	@$(GO) -o bin/ $(PROGRAMS) $(PROGRESS)

bin/victoria-%: deploy/tools/go.mod
	@echo "victoria-$*$(if $(wildcard $@),, (first time: two minutes))"
	@cd deploy/tools && go build -v -trimpath -ldflags "-s -w" -o ../../bin/ \
	  $(if $(filter metrics,$*),$(VM),$(VL)) 2>&1 | awk -f ../progress.awk
	@touch $@

# The console's page. Where there was no Node to build it, the ruler says so.
ifneq ($(NPM),)
$(NPM): grafana-plugin/package-lock.json
	@echo "the page's packages$(if $(wildcard grafana-plugin/node_modules),, (first time: two minutes))"
	@cd grafana-plugin && npm ci --ignore-scripts --no-audit --no-fund --silent && touch node_modules/.package-lock.json
$(CONSOLE): $(NPM) $(PAGES)
	@echo "the page"
	@cd grafana-plugin && node_modules/.bin/webpack --env production --config-name console
else
$(CONSOLE):
	@echo "no Node: the ruler is built without its page"
endif

bin/golangci-lint: deploy/tools/lint/go.mod
	@echo "golangci-lint$(if $(wildcard $@),, (first time: two minutes))"
	@cd deploy/tools/lint && go build -v -trimpath -ldflags "-s -w" -o ../../../bin/ \
	  github.com/golangci/golangci-lint/v2/cmd/golangci-lint 2>&1 | awk -f ../../progress.awk
	@touch $@

bin/amtool: go.mod
	@echo "amtool"
	@$(GO) -o bin/ github.com/prometheus/alertmanager/cmd/amtool $(PROGRESS)
	@touch $@

windows: ## build the exporter for Windows into bin/windows/
	@GOOS=windows GOARCH=amd64 $(GO) -o bin/windows/ ./exporter $(PROGRESS)

package: ## build the exporter's packages into bin/packages/; VERSION=1.2.3 names the version
	@deploy/package

plugin: $(CONSOLE) ## build the Grafana app: bin/nocturne-fleet-app.zip
	@cd grafana-plugin && node_modules/.bin/webpack --env production --config-name plugin
	@grafana-plugin/backend
	@go run ./deploy/packplugin

run: build ## run the whole of Nocturne with a simulated fleet; Ctrl-C ends it
	@exec bin/nocturne demo

test: build windows ## run every test; as root it installs what the tests need
	@deploy/test

lint: bin/golangci-lint $(NPM) ## check the code, for Linux and for Windows
	@bin/golangci-lint run ./...
	@cd grafana-plugin && GOFLAGS="$${GOFLAGS:-} -tags=arrow_json_stdlib" ../bin/golangci-lint run ./...
	@$(if $(NPM),cd grafana-plugin && npm run --silent lint,echo "no Node: the pages are not checked")
	@echo "go vet and build for Windows"
	@GOOS=windows GOARCH=amd64 go vet ./...
	@GOOS=windows GOARCH=amd64 go build ./...

fmt: bin/golangci-lint ## format the code
	@bin/golangci-lint fmt ./...
	@cd grafana-plugin && ../bin/golangci-lint fmt ./...

fuzz: ## fuzz every decoder for FUZZTIME each
	@deploy/fuzz $(FUZZTIME)

bench: build ## measure; the figures of ARCHITECTURE.md come from here
	@NOCTURNE_YEAR_SERVERS=65 NOCTURNE_YEAR_DAYS=7 go test -timeout 3h -run '^$$' -bench . -benchmem $$(grep -rl '^func Benchmark' --include='*_test.go' . | xargs -n1 dirname | sort -u)

chaos: build ## kill parts at random for CHAOSTIME and count what arrives; crash 10,000 commits
	@NOCTURNE_NOISE_DAYS=7 go test -count=1 -v -timeout 60m -run SendsNothing ./deploy/nocturne/simulate
	@NOCTURNE_CHAOS=$(CHAOSTIME) go test -count=1 -v -timeout 60m -run TestChaos ./deploy ./ruler/engine

e2e: build ## drive the page with a real browser
	@cd grafana-plugin && npm run e2e

clean: ## remove what was built; data folders stay
	@rm -rf bin .build grafana-plugin/dist ruler/console/static/built
