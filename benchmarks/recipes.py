"""Which recipe helps, by how much, and at what cost? Experiments of `benchmarks/experiments/`, reported.

    python -m benchmarks.recipes                                            # all; many hours on two CPU cores
    python -m benchmarks.recipes --experiments imdb --folder recipes        # keeps runs there; again, it goes on
    python -m benchmarks.recipes --experiments sst2 --workers 12            # twelve runs at once on one large GPU

Runs are selected on validation and reported on test. Many changes with a single seed are screened: the best six by
validation and the baseline are then trained with three other seeds, so that what chose them does not judge them.
With several workers, seconds are those of a GPU that is shared, by all alike. After `--minutes` no run is begun.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from analysis.experiment import measure
from benchmarks.contest import asked_for, machine, report, say
from pipeline.catalog import create_run, load_run, run_names
from pipeline.exceptions import RunError, WorkbenchError
from pipeline.experiments import Experiment, Member, members_of, read_experiment, save_experiment
from reports.experiment_report import markdown_of

EXPERIMENTS = Path(__file__).with_name("experiments")
NUM_CONFIRMED = 6
OTHER_SEEDS = (2, 3, 4)


def carry_out_all(experiment: Experiment, workers: int, deadline: float) -> None:
    """Each run in a process of its own; one that goes on from another comes later, and waits for it."""
    save_experiment(experiment)
    members = sorted(members_of(experiment), key=lambda member: bool(member.base_run))
    with ProcessPoolExecutor(workers, get_context("spawn"), max_tasks_per_child=1) as pool:
        for told in pool.map(partial(carry_out_member, test=experiment.test, deadline=deadline), members):
            say(told)


def carry_out_member(member: Member, test: bool, deadline: float) -> str:
    """Train it where it is not finished, evaluate it on test, and tell how it went."""
    from pipeline.evaluation import evaluate_run
    from pipeline.jobs import carry_out

    while member.base_run and not _is_done(member.base_run) and time.time() < deadline:
        time.sleep(0.5)
    if time.time() > deadline:
        return f"{member.run}: no time left"
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp()    # the lock of the device is there
    try:
        run = load_run(member.run) if member.run in run_names() else create_run(member.config)
        if run.status().state != "finished":
            carry_out(run)
        status = run.status()
        told = f"{run.name}: {status.state}, {status.best}, {status.elapsed_seconds:.0f} s"
        if test and status.state == "finished" and member.config.task == "classify":
            told += f", test accuracy {evaluate_run(run, split='test', save=True)['accuracy']:.4f}"
    except WorkbenchError as exception:
        told = f"{member.run}: {exception}"
    return told


def _is_done(run: str) -> bool:
    return run in run_names() and load_run(run).status().state in ("finished", "failed")


def confirmation(screened: Experiment) -> Experiment:
    """The baseline and the best six of what was screened, by validation, with other seeds."""
    changes: Any = screened.changes
    first, *others = members_of(screened)
    alike = [each for each in others if each.config.data.source == first.config.data.source]
    values = {each.variant: value for each in alike if (value := _best_value(each)) is not None}
    best = sorted(values, key=lambda name: -values[name])
    say(f"{first.variant} {_best_value(first)}; best by validation: {', '.join(f'{n} {values[n]:.4f}' for n in best)}")
    chosen = best[:NUM_CONFIRMED]
    before = [changes[name].get("model.base") for name in chosen]
    kept = {name: change for name, change in changes.items() if name in chosen or name in before}
    own = {"name": f"{screened.name}-confirmed", "changes": kept, "seeds": OTHER_SEEDS}
    return Experiment.model_validate(screened.model_dump(exclude={"runs"}) | own)


def _best_value(member: Member) -> float | None:
    """Its best macro F1 on validation; None where it has not finished."""
    status = load_run(member.run).status() if member.run in run_names() else None
    return float(status.best["value"]) if status and status.state == "finished" and status.best else None


def results(experiments: Iterable[str], workers: int, deadline: float) -> Iterable[dict[str, Any]]:
    for name in experiments:
        asked = [read_experiment(EXPERIMENTS / f"{name}.json")]
        for experiment in asked:
            carry_out_all(experiment, workers, deadline)
            try:
                result = measure(experiment)
            except RunError as exception:
                say(str(exception))
                continue
            say(markdown_of(result))
            yield asdict(result)
            if len(experiment.seeds) == 1 and len(experiment.changes) > NUM_CONFIRMED:
                asked.append(confirmation(experiment))


def main() -> None:
    names = sorted(path.stem for path in EXPERIMENTS.glob("*.json"))
    options = asked_for(__doc__, experiments=names, folder="", workers=1, minutes=10_000.0)
    facts = {"benchmark": "recipes", "machine": machine(), "workers": options.workers}
    with tempfile.TemporaryDirectory(prefix="volta-recipes-", ignore_cleanup_errors=True) as folder:
        os.environ["VOLTA_HOME"] = options.folder or folder
        for result in results(options.experiments, options.workers, time.time() + 60 * options.minutes):
            report({**facts, **result})


if __name__ == "__main__":
    main()
