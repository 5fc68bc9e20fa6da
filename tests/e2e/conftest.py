"""What the browser tests share: the real app with a run root of its own, a browser that asks no other host."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from pipeline.runs import is_held

PROJECT_ROOT = Path(__file__).parents[2]
WAIT_MS = 60_000                # for anything the page should show: long, since the machine may be busy
START_SECONDS = 90              # of the app; generous, since the machine may be busy with other tests
expect.set_options(timeout=WAIT_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@dataclass(frozen=True)
class Home:
    """A run root and a folder for temporary files, apart from those of the machine's real runs."""

    folder: Path

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "VOLTA_HOME": str(self.runs),
            "VOLTA_MODEL": "tiny",
            "TMPDIR": str(self.folder / "tmp"),
            "HF_HUB_OFFLINE": "1",
        }

    def command(self, *arguments: str) -> None:
        """Run `python -m pipeline ...` to its end."""
        subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=PROJECT_ROOT, env=self.environment, check=True, capture_output=True,
        )


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_data: Path) -> Iterator[Home]:
    """Holds one finished run, "tiny"."""
    home = Home(tmp_path_factory.mktemp("home"))
    (home.folder / "tmp").mkdir()
    fields = {
        "data.source": tiny_data, "data.split": "random", "model.base": tiny_model,
        "optim.learning_rate": 1e-3, "optim.batch_size": 8, "optim.epochs": 10, "hardware.precision": "fp32",
    }
    assignments = [part for name, value in fields.items() for part in ("--set", f"{name}={value}")]
    home.command("train", *assignments, "--name", "tiny")
    yield home
    for path in home.runs.glob("*/.lock"):      # of a test that failed: its run would go on for minutes
        if not is_held(FileLock(path)):
            continue
        command = [sys.executable, "-m", "pipeline", "stop", path.parent.name]
        subprocess.run(command, cwd=PROJECT_ROOT, env=home.environment, capture_output=True)


@contextmanager
def running_app(home: Home, port: int) -> Iterator[str]:
    """The real app in a process of its own; yields its address."""
    environment = {**home.environment, "PORT": str(port)}
    with open(home.folder / "app.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(address, process, home)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _wait_for(address: str, process: subprocess.Popen[bytes], home: Home) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=START_SECONDS).close()
            return
        except OSError:
            assert process.poll() is None, (home.folder / "app.log").read_text()
            assert time.monotonic() < deadline, "the app did not answer in time"
            time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def address(home: Home) -> Iterator[str]:
    with running_app(home, free_port()) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium, else playwright's own. It finds no host but this one."""
    arguments = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with visit(browser) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="module")
def kept_context(browser: Browser) -> Iterator[BrowserContext]:
    """For a page that several tests look at, each setting what it needs: to load one takes seconds."""
    with visit(browser) as context:
        yield context


@contextmanager
def visit(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile. The test fails when a page in it asks any other host, or throws."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    foreign: set[str] = set()
    thrown: list[str] = []

    def remember(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in ("http", "https") and url.hostname != "127.0.0.1":
            foreign.add(f"{url.scheme}://{url.hostname}")

    context.set_default_timeout(WAIT_MS)
    context.on("request", remember)     # not context.route: it asks for every file anew, and takes its time over each
    context.on("weberror", lambda error: thrown.append(str(error.error)))
    yield context
    context.close()
    assert not foreign, f"the page asked other hosts: {sorted(foreign)}"
    assert not thrown, f"the page threw: {thrown}"


def choose(page: Page, elem_id: str, value: str) -> None:
    """Type a value into a picker that takes free text, or choose one of its options."""
    picker = page.locator(f"#{elem_id} input")
    picker.fill(value)
    picker.press("Enter")


def ask(address: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """POST; status and JSON of the answer."""
    request = urllib.request.Request(address + path, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as exception:
        return exception.code, json.load(exception)
