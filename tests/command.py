"""How do tests type a command? `volta(...)` carries out `python -m pipeline ...`, `analysis(...)` the other one."""

from __future__ import annotations

import io
import json
import logging
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest
import typer

from analysis.__main__ import app as analysis_app
from pipeline.__main__ import app as pipeline_app
from pipeline.command import run_command


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[Any]:
        """stdout, each line read as JSON."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def analysis(*arguments: str) -> Answer:
    """Carry out `python -m analysis ARGUMENTS` likewise."""
    return volta(*arguments, app=analysis_app)


def volta(*arguments: str, stdin: str = "", app: typer.Typer = pipeline_app) -> Answer:
    """Carry out `python -m pipeline ARGUMENTS` in this process, logging set up as in a fresh one."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(stdout), redirect_stderr(stderr):
        patch.setattr(sys, "argv", ["pipeline", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        patch.setattr(logging.getLogger(), "handlers", [])
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        with pytest.raises(SystemExit) as ended:
            run_command(app)
    return Answer(ended.value.code or 0, stdout.getvalue(), stderr.getvalue())


class CarriedOut:
    """What `pipeline.jobs.start_command` gives back, of a command carried out in this process: seconds less than a
    process of its own, most of which are imports."""

    def __init__(self, arguments: list[str], module: str = "pipeline", stdout: Any = None, **_: Any) -> None:
        answer = (analysis if module == "analysis" else volta)(*arguments)
        self.returncode, self.stdout, self.stderr = answer.status, answer.stdout, io.StringIO(answer.stderr)
        if hasattr(stdout, "write"):
            stdout.write(answer.stdout)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        return self.stdout, self.stderr.read()

    def wait(self) -> int:
        return self.returncode

    poll = wait

    def kill(self) -> None:
        pass        # it has ended


def training_arguments(values: dict[str, Any], **changes: str) -> list[str]:
    """The values of a RunConfig as arguments of `train`."""
    fields = {f"{group}.{name}": value for group, leaves in values.items() if group != "name"
              for name, value in leaves.items()} | {name.replace("__", "."): value for name, value in changes.items()}
    return ["train", "--name", values["name"], *(f"--set={name}={value}" for name, value in fields.items())]
