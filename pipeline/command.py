"""How does a command end? Its results as JSON lines on stdout, all else on stderr, and a status that tells."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import typer

from pipeline.exceptions import WorkbenchError


def print_json(values: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(values, ensure_ascii=False, default=_plain), flush=True)


def _plain(value: Any) -> Any:
    """Of numpy, which the analysis computes in."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def run_command(app: typer.Typer) -> None:
    """Exit status: 0 done, 1 it failed, 2 the request could not be understood."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    for chatty in ("httpx", "httpx2", "huggingface_hub", "datasets", "accelerate", "filelock"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        app()
    except WorkbenchError as exception:
        print(exception, file=sys.stderr)
        sys.exit(exception.exit_status)
    except OSError as exception:        # a disk that is full, or may not be written
        from pipeline.jobs import UNFORESEEN, failure_sentence

        if (sentence := failure_sentence(exception)).startswith(UNFORESEEN):
            raise
        print(sentence, file=sys.stderr)
        sys.exit(1)


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """SIGTERM and Ctrl-C set the event; a training sees it after the step it is in."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    earlier = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
