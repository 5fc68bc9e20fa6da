"""How soon does `make app` answer, beside the smallest Gradio app there is?

    python -m benchmarks.startup            # about two minutes

- volta: from starting `make app` (everything set up before) to the first answer of `/` with the page's HTML; and on to
  the first prediction that `POST /query` answers;
- hello_world: the same to the page of a file with `gr.Interface(...).launch()`, run by the same Python.

They take turns, on a free port of this machine, after one turn each that is not counted. The hello world runs with
Gradio's analytics off, as Volta does, so that a slow network cannot hold it up; all else is as in a user's shell.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.contest import (
    asked_for,
    compared,
    machine,
    report,
    spread,
    take_turns,
    trained_model,
    users_environment,
)
from pipeline.serving import DEFAULT_MODEL
from pipeline.sources import PROJECT_ROOT

HELLO_WORLD = """import gradio as gr

gr.Interface(lambda name: f"Hello {name}", "text", "text").launch()
"""
AT_MOST = 2.5           # times the hello world's seconds
LIMIT_SECONDS = 120.0
QUERY = json.dumps({"sentences": ["It is lovely to look at, but nothing happens."]}).encode()


def measure(contender: str, _: int) -> dict[str, Any]:
    """Seconds to the page, and Volta's to its first prediction too."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    if contender == "volta":
        began = time.monotonic()
        with started(["make", "--no-print-directory", "app"], HOST="127.0.0.1", PORT=port) as process:
            page = seconds_to_answer(process, f"http://127.0.0.1:{port}/", began, b'"title":"Volta"')
            prediction = seconds_to_answer(process, f"http://127.0.0.1:{port}/query", began, b'"results"', QUERY)
        return {"seconds": page, "prediction": prediction}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hello_world.py")
        path.write_text(HELLO_WORLD, encoding="utf-8")
        command = [str(PROJECT_ROOT / ".venv" / "bin" / "python"), str(path)]
        hello = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": port, "GRADIO_ANALYTICS_ENABLED": "False"}
        began = time.monotonic()
        with started(command, **hello) as process:
            page = seconds_to_answer(process, f"http://127.0.0.1:{port}/", began, b"window.gradio_config = {")
        return {"seconds": page}


@contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, which ends with the block: `make` is not alone in it."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            env=users_environment(**environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        except RuntimeError as exception:
            output.seek(0)
            raise RuntimeError(f"{exception} It printed:\n{output.read()[-3000:].decode()}") from None
        finally:
            with suppress(ProcessLookupError):      # what is left after the first, if anything, ends by force
                os.killpg(process.pid, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                os.killpg(process.pid, signal.SIGKILL)


def seconds_to_answer(
    process: subprocess.Popen[bytes], url: str, began: float, expected: bytes, body: bytes | None = None
) -> float:
    """Ask until status 200 and a body with `expected` come back. Raises: RuntimeError when neither does in time."""
    answered = b"nothing"
    open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open    # knows no proxy
    while (seconds := time.monotonic() - began) < LIMIT_SECONDS:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended before it answered.")
        try:
            with open_url(url, body, timeout=LIMIT_SECONDS - seconds) as response:
                answered = response.read()
            if expected in answered:
                return time.monotonic() - began
        except (OSError, http.client.HTTPException) as exception:      # nobody listens yet
            answered = str(exception).encode()
        time.sleep(0.02)
    raise RuntimeError(f"{url} was not answered as expected within {LIMIT_SECONDS:.0f} s, but: {answered[:200]!r}.")


def summary(rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    lines = compared(rounds, "hello_world")
    volta = lines["volta"]
    volta["prediction"] = spread([each["volta"]["prediction"] for each in rounds])
    ratio = volta["seconds"]["median"] / lines["hello_world"]["seconds"]["median"]
    return lines | {"ratio_of_medians": round(ratio, 3), "target": AT_MOST, "met": ratio <= AT_MOST}


def main() -> None:
    options = asked_for(__doc__, rounds=5)
    if subprocess.run(["make", "--question", ".venv/app-ready"], cwd=PROJECT_ROOT, capture_output=True).returncode:
        raise SystemExit("The environment is not set up, or older than its requirements. Run `make app` once first.")
    trained_model(os.environ.get("VOLTA_MODEL") or DEFAULT_MODEL)
    measured_on = machine()
    counted = take_turns(options.rounds + 1, ("volta", "hello_world"), measure)[1:]
    report({"benchmark": "startup", "machine": measured_on, "summary": summary(counted), "raw": counted})


if __name__ == "__main__":
    main()
