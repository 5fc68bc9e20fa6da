# `make app` opens the page and `make test` runs every test. Each does its own set-up first (setup.sh), once:
# when the stamps in .venv are newer than the files they stand for, nothing is left to do.

.PHONY: app test check bench

app: .venv/app-ready
	@.venv/bin/python app.py

test: .venv/browser-ready
	@.venv/bin/python -m pytest

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
