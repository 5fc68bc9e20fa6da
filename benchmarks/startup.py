"""How soon does `make app` answer, beside the smallest Gradio app there is?

    python -m benchmarks.startup            # about two minutes

- volta: from starting `make app` (everything set up before) to the first answer of `/` with the page's HTML; and on to
  the first prediction that `POST /query` answers;
- hello_world: the same to the page of a file with `gr.Interface(...).launch()`, run by the same Python.

They take turns, on a free port of this machine, after one turn each that is not counted. The hello world runs with
Gradio's analytics off, as Volta does, so that a slow network cannot hold it up; all else is as in a user's shell.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.contest import (
    end_cleanly_when_terminated,
    machine,
    ratios,
    report,
    say,
    spread,
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
QUERY = json.dumps({"sentences": ["It is lovely to look at, but nothing happens."]})


def start_volta(port: int) -> dict[str, float]:
    environment = users_environment(HOST="127.0.0.1", PORT=str(port))
    began = time.monotonic()
    with started(["make", "--no-print-directory", "app"], environment) as process:
        page = seconds_to_answer(process, port, began, "GET", "/", b'"title":"Volta"')
        prediction = seconds_to_answer(process, port, began, "POST", "/query", b'"results"', QUERY)
    return {"page": page, "prediction": prediction}


def start_hello_world(port: int, folder: Path) -> dict[str, float]:
    path = folder / "hello_world.py"
    path.write_text(HELLO_WORLD, encoding="utf-8")
    environment = users_environment(
        GRADIO_SERVER_NAME="127.0.0.1", GRADIO_SERVER_PORT=str(port), GRADIO_ANALYTICS_ENABLED="False"
    )
    began = time.monotonic()
    with started([str(PROJECT_ROOT / ".venv" / "bin" / "python"), str(path)], environment) as process:
        return {"page": seconds_to_answer(process, port, began, "GET", "/", b"window.gradio_config = {")}


@contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process group of its own, which ends with the block: `make` is not alone in it."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, cwd=PROJECT_ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            yield process
        except RuntimeError as exception:
            output.seek(0)
            raise RuntimeError(f"{exception} It printed:\n{output.read()[-3000:].decode()}") from None
        finally:
            end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, and end by force what is left of it after ten seconds."""
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        try:
            os.killpg(process.pid, number)
            while time.monotonic() < deadline:
                process.poll()
                os.killpg(process.pid, 0)  # raises when nobody is left
                time.sleep(0.05)
        except ProcessLookupError:
            return


def seconds_to_answer(
    process: subprocess.Popen[bytes], port: int, began: float, method: str, path: str, expected: bytes, body: str = ""
) -> float:
    """Ask until status 200 and a body with `expected` come back. Raises: RuntimeError when neither does in time."""
    answered = "nothing"
    while (seconds := time.monotonic() - began) < LIMIT_SECONDS:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended before it answered.")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_SECONDS - seconds)  # knows no proxy
        try:
            connection.request(method, path, body=body or None)
            response = connection.getresponse()
            content = response.read()
            if response.status == 200 and expected in content:
                return time.monotonic() - began
            answered = f"{response.status} {content[:200]!r}"
        except (OSError, http.client.HTTPException):  # nobody listens yet
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    raise RuntimeError(f"{method} {path} was not answered as expected within {LIMIT_SECONDS:.0f} s, but: {answered}.")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refuse_cold_environment() -> None:
    if subprocess.run(["make", "--question", ".venv/app-ready"], cwd=PROJECT_ROOT, capture_output=True).returncode:
        raise SystemExit("The environment is not set up, or older than its requirements. Run `make app` once first.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    end_cleanly_when_terminated()
    refuse_cold_environment()
    trained_model(os.environ.get("VOLTA_MODEL") or DEFAULT_MODEL)
    measured_on = machine()
    results: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory(prefix="volta-startup-") as folder:
        for number in range(options.rounds + 1):
            volta = start_volta(free_port())
            hello_world = start_hello_world(free_port(), Path(folder))
            results.append({"volta": volta, "hello_world": hello_world})
            say(
                f"{f'round {number}' if number else 'not counted'}: volta {volta['page']:.2f} s to its page, "
                f"{volta['prediction']:.2f} s to a prediction; hello world {hello_world['page']:.2f} s"
            )
    counted = results[1:]
    report({"benchmark": "startup", "machine": measured_on, "summary": summary(counted), "raw": counted})


def summary(results: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    pages = [{contender: seconds["page"] for contender, seconds in round_.items()} for round_ in results]
    times = ratios(pages, "volta", "hello_world")
    volta, hello_world = (spread([seconds[name] for seconds in pages]) for name in ("volta", "hello_world"))
    return {
        "volta": {"page": volta, "prediction": spread([round_["volta"]["prediction"] for round_ in results])},
        "hello_world": {"page": hello_world},
        "times_hello_world": times,
        "ratio_of_medians": round(volta["median"] / hello_world["median"], 3),
        "target": AT_MOST,
        "met": volta["median"] <= AT_MOST * hello_world["median"],
    }


if __name__ == "__main__":
    main()
