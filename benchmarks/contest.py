"""Who is faster? Contenders take turns, each in a process of its own, and are compared within a round."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.exceptions import DataError, ModelError
from pipeline.sources import PROJECT_ROOT, Place, find_model

# Importing `pipeline` sets the first four in this very process, `make bench` the others. Each contender starts without
# them, as in a user's shell: Volta's own process sets its four again, the others compute with the libraries' defaults.
NOT_IN_A_SHELL = (
    "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE", "CUBLAS_WORKSPACE_CONFIG", "MAKEFLAGS", "MAKELEVEL",
)  # fmt: skip
PACKAGES = ("torch", "transformers", "accelerate", "datasets", "gradio", "numpy")


def users_environment(**extra: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in NOT_IN_A_SHELL} | extra


def compete(contender: str, task: dict[str, Any], **environment: str) -> dict[str, Any]:
    """Let a contender (a function of contenders.py) do its task in a fresh process, and return what it measured."""
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.contenders", contender],
        cwd=PROJECT_ROOT,
        env=users_environment(**environment),
        input=json.dumps(task),
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise RuntimeError(f"{contender} ended with exit status {process.returncode}:\n{process.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])  # libraries may print before it
    return result


def asked_for(doc: str | None, **defaults: Any) -> argparse.Namespace:
    """The options of the command line, each of the type of its default; a list takes some of what it has."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        kind = {"nargs": "+", "choices": default} if isinstance(default, list) else {"type": type(default)}
        parser.add_argument(f"--{name}", default=default, help=f"default: {default}", **kind)
    end_cleanly_when_terminated()
    return parser.parse_args()


def take_turns(
    num_rounds: int, contenders: Sequence[str], measure: Callable[[str, int], dict[str, Any]]
) -> list[dict[str, dict[str, Any]]]:
    """In each round each contender is measured once; told are its figures, by round and contender."""
    rounds: list[dict[str, dict[str, Any]]] = []
    for number in range(num_rounds):
        rounds.append({})
        for contender in contenders:
            result = rounds[-1][contender] = measure(contender, number)
            figures = [f"{name} {value:.4g}" for name, value in result.items() if isinstance(value, float)]
            say(f"round {number}, {contender}: {', '.join(figures)}")
    return rounds


def compared(rounds: list[dict[str, dict[str, Any]]], reference: str) -> dict[str, dict[str, Any]]:
    """By contender: its seconds, and how many times as long as the reference it took."""
    seconds = [{contender: result["seconds"] for contender, result in round_.items()} for round_ in rounds]
    lines: dict[str, dict[str, Any]] = {}
    for contender in rounds[0]:
        lines[contender] = {"seconds": spread([each[contender] for each in seconds])}
        if contender != reference and reference in rounds[0]:
            lines[contender][f"times_{reference}"] = ratios(seconds, contender, reference)
    return lines


def ratios(rounds: list[dict[str, float]], contender: str, reference: str) -> dict[str, Any]:
    """How many times as long as the reference a contender took: per round, so that both met the same machine."""
    by_round = [seconds[contender] / seconds[reference] for seconds in rounds]
    return {**spread(by_round), "by_round": [round(ratio, 3) for ratio in by_round]}


def spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 4),
        "lowest": round(min(values), 4),
        "highest": round(max(values), 4),
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on. A load average well above 0 means that something else was computing too."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES if find_spec(name)},
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _cpu_model() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@contextmanager
def data_at_hand() -> Iterator[None]:
    """Where the data cannot be read, end with a sentence on how to get them."""
    try:
        yield
    except DataError as exception:
        sys.exit(
            f"The data are not at hand: {exception} This benchmark reads train.parquet, validation.parquet and "
            "test.parquet of a folder like sst2 in $VOLTA_DATA, or in ../shared/data beside the checkout, or the Hub."
        )


def trained_model(name: str) -> Place:
    """Where the model is; where there is none, end with the sentence that says what to do."""
    try:
        return find_model(name)
    except ModelError as exception:
        sys.exit(str(exception))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(values: dict[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False), flush=True)


def end_cleanly_when_terminated() -> None:
    """SIGTERM ends this process as Ctrl-C does: by an exception, so that what it started ends with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
