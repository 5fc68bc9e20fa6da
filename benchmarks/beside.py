"""How much do ten people on the page and a run in training slow each other down, on the same cores?

    python -m benchmarks.beside             # about seven minutes on two CPU cores

The app and a run on SST-2 (batches of 32, `python -m pipeline train`) work at once. In each round nobody clicks for a
while, then ten visitors do. Each visitor presses Predict with one of SST-2's sentences, waits for the answer and the
coloured words, reads for 2 to 6 seconds, and goes on: what the browser sends is sent, by the same queue. Before the run
starts the visitors click for a while by themselves.

Counted are the run's steps a second in either part of a round, and how long each answer took from the press.
"""

from __future__ import annotations

import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.bulk_prediction import sentences
from benchmarks.contest import asked_for, machine, report, say, spread, users_environment
from benchmarks.startup import QUERY, seconds_to_answer, started
from pipeline.sources import PROJECT_ROOT

VISITORS = 10
READING_SECONDS = (2.0, 6.0)
AT_MOST_SLOWER, AT_MOST_SECONDS = 1.15, 1.0     # the run; 95 of 100 predictions
RUN = "beside"
TRAINING = {"data.source": "sst2", "optim.batch_size": 32, "optim.epochs": 3, "stop.evaluate_every": 1_000_000}
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open        # knows no proxy


class Page:
    """What the browser knows of the page: which events a press of Predict sets off, and their inputs."""

    def __init__(self, url: str) -> None:
        self.api = url + "gradio_api/"
        with OPEN(url + "config", timeout=60) as response:
            config = json.load(response)
        self.names = {part["id"]: part["props"].get("elem_id") for part in config["components"]}
        button = next(number for number, name in self.names.items() if name == "predict-button")
        self.pressed = [event for event in config["dependencies"] if [button, "click"] in event["targets"]]
        self.opened = [event for event in config["dependencies"] if self.shows(event) == "predict-run"][:1]

    def shows(self, event: dict[str, Any]) -> str | None:
        return self.names[event["outputs"][0]] if event["outputs"] else None

    def open(self, session: str) -> None:
        """A visitor comes: the page finds out which models there are."""
        self.send(self.opened, session)

    def press(self, session: str, sentence: str) -> dict[str, float]:
        """Seconds until each event that is set off has ended, by the name of what it shows."""
        values = {"predict-text": sentence, "predict-run": "sst2-minilm", "why-label": "", "predict-other": ""}
        return self.send(self.pressed, session, values)

    def send(self, events: list[Any], session: str, values: dict[str, str] | None = None) -> dict[str, float]:
        shown: dict[str, str] = {}      # by event id
        began = time.perf_counter()
        for event in events:
            data = [(values or {}).get(self.names[number]) for number in event["inputs"]]
            body = json.dumps({"data": data, "fn_index": event["id"], "session_hash": session}).encode()
            request = urllib.request.Request(self.api + "queue/join", body, {"Content-Type": "application/json"})
            with OPEN(request, timeout=60) as response:
                shown[json.load(response)["event_id"]] = str(self.shows(event))
        seconds: dict[str, float] = {}
        with OPEN(self.api + f"queue/data?session_hash={session}", timeout=120) as stream:
            for line in stream:
                message = json.loads(line[len(b"data:") :]) if line.startswith(b"data:") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(f"An event failed: {message}")
                    seconds[shown[message["event_id"]]] = time.perf_counter() - began
                    if len(seconds) == len(shown):
                        break
        return seconds


@contextmanager
def clicking(page: Page, texts: list[str], num_seconds: float, seed: int) -> Iterator[list[dict[str, float]]]:
    """Ten visitors for so many seconds; what they waited for their answers is complete at the end of the block."""
    answers: list[dict[str, float]] = []
    problems: list[Exception] = []
    ends = time.monotonic() + num_seconds

    def visit(number: int) -> None:
        chance, session = random.Random(1000 * seed + number), uuid.uuid4().hex
        time.sleep(chance.uniform(0, READING_SECONDS[1]))
        try:
            page.open(session)
            while time.monotonic() < ends:
                answers.append(page.press(session, chance.choice(texts)))
                time.sleep(chance.uniform(*READING_SECONDS))
        except Exception as exception:      # told by whoever waits for the visitors
            problems.append(exception)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(VISITORS)]
    for visitor in visitors:
        visitor.start()
    yield answers
    for visitor in visitors:
        visitor.join()
    if problems:
        raise problems[0]


def steps_done(metrics: Path) -> int:
    return metrics.read_bytes().count(b'"grad_norm"') if metrics.exists() else 0


def quantile(values: list[float], share: float) -> float:
    return round(statistics.quantiles(values, n=100, method="inclusive")[round(100 * share) - 1], 3)


def waited(answers: list[dict[str, float]]) -> dict[str, Any]:
    """Seconds from the press, by what was shown: the median, and what 95 of 100 stayed under."""
    return {
        name: {"n": len(answers), "p50": quantile(values, 0.5), "p95": quantile(values, 0.95)}
        for name in ("predict-result", "predict-why")
        if (values := [answer[name] for answer in answers])
    }


def main() -> None:
    options = asked_for(__doc__, rounds=4, seconds=40.0)
    texts = sentences()[:500]
    measured_on = machine()
    with tempfile.TemporaryDirectory() as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
        probe.close()
        environment = users_environment(VOLTA_HOME=home, HOST="127.0.0.1", PORT=port, TMPDIR=home)
        python = sys.executable
        with started([python, "app.py"], **environment) as app:
            url = f"http://127.0.0.1:{port}/"
            seconds_to_answer(app, url + "query", time.monotonic(), b'"results"', QUERY)
            page = Page(url)
            with clicking(page, texts, 10, seed=99):        # not counted
                time.sleep(10)
            with clicking(page, texts, options.seconds, seed=98) as alone:
                time.sleep(options.seconds)
            say(f"nothing trains: {waited(alone)}")
            settings = [f"--set={name}={value}" for name, value in TRAINING.items()]
            command = [python, "-m", "pipeline", "train", "--preset", "quick", "--name", RUN, *settings]
            metrics = Path(home, RUN, "metrics.jsonl")
            run = subprocess.Popen(command, cwd=PROJECT_ROOT, env=environment, stderr=subprocess.DEVNULL)
            try:
                while steps_done(metrics) < 20:
                    if run.poll() is not None:
                        raise SystemExit(f"The run ended with status {run.returncode} before its 20th step.")
                    time.sleep(0.5)
                rounds, beside = [], []
                for number in range(options.rounds):
                    rates = {}
                    for part in ("quiet", "visited"):
                        before, began = steps_done(metrics), time.monotonic()
                        visitors: AbstractContextManager[list[dict[str, float]]] = nullcontext([])
                        if part == "visited":
                            visitors = clicking(page, texts, options.seconds, seed=number)
                        with visitors as answers:
                            time.sleep(options.seconds)
                            rates[part] = (steps_done(metrics) - before) / (time.monotonic() - began)
                        beside += answers
                    rounds.append(rates)
                    say(f"round {number}: {rates}, {waited(beside)}")
            finally:
                run.terminate()
                run.wait(60)
    slower = [rates["quiet"] / rates["visited"] for rates in rounds]
    all_waited = waited(beside)
    summary = {
        "run_times_slower": spread(slower) | {"target": AT_MOST_SLOWER},
        "waited_beside_the_run": all_waited,
        "waited_alone": waited(alone),
        "met": statistics.median(slower) <= AT_MOST_SLOWER and all_waited["predict-result"]["p95"] < AT_MOST_SECONDS,
    }
    report({"benchmark": "beside", "machine": measured_on, "summary": summary, "raw": rounds})


if __name__ == "__main__":
    main()
