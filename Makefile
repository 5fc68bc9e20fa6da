# `make app` opens the page and `make test` runs every test. Each does its own set-up first (setup.sh), once:
# when the stamps in .venv are newer than the files they stand for, nothing is left to do.

.PHONY: app test test-pages test-rest check bench

app: .venv/app-ready
	@.venv/bin/python app.py

# Side by side: the tests that drive the page mostly wait for it. Each half is told when it has ended, where make can.
test: .venv/browser-ready
	@echo "Tests of the page and all others run side by side; what they say comes when each half has ended."
	@$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) test-pages test-rest

test-pages: .venv/browser-ready
	@.venv/bin/python -m pytest tests/e2e

test-rest: .venv/browser-ready
	@.venv/bin/python -m pytest --ignore tests/e2e

check: .venv/dev-ready
	@.venv/bin/python -m ruff check . && .venv/bin/python -m mypy

bench: .venv/dev-ready
	@.venv/bin/python -m benchmarks

.venv/app-ready: requirements.txt constraints.txt setup.sh
	@sh setup.sh app

.venv/dev-ready: .venv/app-ready requirements-dev.txt
	@sh setup.sh dev

.venv/browser-ready: .venv/dev-ready
	@sh setup.sh browser
