"""`python -m pipeline ...`: train, stop, resume, evaluate, predict. Results as JSON on stdout, the rest on stderr."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.budgets import BUDGET_HELP
from pipeline.command import print_json, run_command, stop_signals
from pipeline.config import FIELDS, all_presets, make_config, preset_names
from pipeline.exceptions import ConfigError, WorkbenchError
from pipeline.request import assigned, requested_config

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Name = Annotated[str, typer.Argument(help="Name of a run.", show_default=False)]
Preset = Annotated[str | None, typer.Option(help="A named starting point.")]
Config = Annotated[Path | None, typer.Option(help="A run_config.json to start from.")]
Budget = Annotated[str, typer.Option(metavar="full|medium|quick|low-memory", help=BUDGET_HELP)]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field; `fields` lists them.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Train in a process of its own, and return.")]


@app.command()
def train(
    name: Annotated[str | None, typer.Option(help="Name of the new run.")] = None,
    preset: Preset = None,
    config: Config = None,
    budget: Budget = "full",
    set_: Assignments = None,
    detach: Detach = False,
) -> None:
    """Train a model. Ctrl-C stops it after the step it is in; `resume` goes on."""
    run_config = requested_config(name, preset, config, budget, set_ or [])
    from pipeline.catalog import create_run
    from pipeline.jobs import carry_out, check_startable, start_detached
    from pipeline.stand_ins import refuse_what_is_lacking

    refuse_what_is_lacking(preset, run_config)
    check_startable(run_config)
    run = create_run(run_config)
    if detach:
        start_detached(run)
        print_json({"name": run.name, "state": "queued"})
        return
    _end(carry_out(run), run)


@app.command()
def plan(preset: Preset = None, config: Config = None, budget: Budget = "full", set_: Assignments = None) -> None:
    """Say what a run would do and take: rows, steps, parameters, memory, time from a few real steps. Keeps nothing."""
    run_config = requested_config("plan", preset, config, budget, set_ or [])
    from pipeline.plan import make_plan
    from pipeline.stand_ins import refuse_what_is_lacking

    refuse_what_is_lacking(preset, run_config)
    print_json(asdict(make_plan(run_config)))


@app.command()
def augment(preset: Preset = None, config: Config = None, set_: Assignments = None) -> None:
    """Show ten training examples beside the changed copies that `augment.steps` makes of them. Keeps nothing."""
    run_config = requested_config("augment", preset, config, "full", set_ or [])
    from pipeline.augmentation import preview

    for pair in preview(run_config):
        print_json(pair._asdict())


@app.command()
def stop(name: Name) -> None:
    """Stop a run: it finishes its step and saves; after 60 seconds it is ended by force."""
    from pipeline import jobs
    from pipeline.catalog import load_run

    status = jobs.stop(load_run(name))
    print_json({"name": name, "state": status.state, "step": status.step})


@app.command()
def resume(name: Name, detach: Detach = False) -> None:
    """Go on with a stopped, interrupted or failed run from its newest state."""
    from pipeline.catalog import load_run
    from pipeline.jobs import carry_out, start_detached

    run = load_run(name)
    status = run.status()
    if status.state == "finished":
        advice = f"Start a new run with --set model.base={name}."
        print(f"'{name}' is finished: there is nothing to resume. {advice}", file=sys.stderr)
    elif detach:
        start_detached(run)
        print_json({"name": name, "state": "queued"})
    else:
        _end(carry_out(run), run)


@app.command(hidden=True)
def join(name: Name, rank: int, size: int, meeting_point: Path) -> None:
    """Compute along with the process that carries out a run, which starts this one."""
    from pipeline import processes

    raise typer.Exit(processes.join(name, rank, size, meeting_point))


@app.command()
def sweep(
    file: Annotated[
        str, typer.Argument(help="An experiment's file; its name, once it has begun; a preset.", show_default=False)
    ],
    name: Annotated[str | None, typer.Option(help="Name of the new experiment; its own when empty.")] = None,
    budget: Budget = "full",
    set_: Assignments = None,
    again: Annotated[bool, typer.Option("--again", help="Try failed runs again, too.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Sweep in a process of its own, and return.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the sweep; its run saves. Sweep again to go on.")] = False,
) -> None:
    """Carry out an experiment, run by run: a JSON line each. Swept again, it goes on where it was."""
    from pipeline import sweeping
    from pipeline.experiments import requested_experiment

    experiment = requested_experiment(file, name, budget, assigned(set_ or []))
    if stop:
        sweeping.stop_sweep(experiment.name)
    elif detach:
        sweeping.start_sweep(experiment, again)
    else:
        with stop_signals() as asked:
            done = [_told(standing) for standing in sweeping.sweep(experiment, asked, again)]
        raise typer.Exit(0 if all(done) else 1)
    for standing in sweeping.standings(experiment):
        print_json(asdict(standing))


def _told(standing: Any) -> bool:
    print_json(asdict(standing))
    return bool(standing.is_done)


@app.command()
def logs(
    name: Name, follow: Annotated[bool, typer.Option("--follow", help="Go on until the run ends.")] = False
) -> None:
    """Print what a run's process printed."""
    from pipeline.catalog import load_run

    run = load_run(name)
    printed = 0
    while True:
        active = run.status().is_active
        if run.log_path.exists():
            with open(run.log_path, encoding="utf-8", errors="replace") as file:
                file.seek(printed)
                print(file.read(), end="", flush=True)
                printed = file.tell()
        if not follow or not active:
            return
        time.sleep(0.5)


@app.command()
def evaluate(
    name: Name,
    data: Annotated[str | None, typer.Option(help="A data source; the run's own when empty.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "validation",
    text_column: Annotated[str | None, typer.Option(help="Column with the text, of --data.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column with the label, of --data.")] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of the text file --data.")] = "utf-8",
    save: Annotated[bool, typer.Option("--save", help="Keep the predictions in the run record.")] = False,
) -> None:
    """Measure a run's best model on a split."""
    from pipeline.catalog import load_run
    from pipeline.evaluation import evaluate_run

    run = load_run(name)
    told = {"text_column": text_column, "label_column": label_column, "encoding": encoding}
    other = None
    if data is not None and data != run.config.data.source:
        clean = run.config.data.clean.model_dump()
        other = make_config({"name": name, "data": {"source": data, "clean": clean, **told}}).data
    elif told != {"text_column": None, "label_column": None, "encoding": "utf-8"}:
        raise ConfigError(
            "The run's own data are read as its config says. Leave columns and encoding out, or name other --data."
        )
    print_json(evaluate_run(run, other, split, save))


@app.command()
def predict(
    name: Annotated[str, typer.Argument(help="A run, a model folder or a Hub classifier.")] = "sst2-minilm",
    text: Annotated[list[str] | None, typer.Option(help="A sentence; may be given several times.")] = None,
    file: Annotated[Path | None, typer.Option(help="A file with a sentence per line; - reads standard input.")] = None,
) -> None:
    """Predict sentences: one JSON line each."""
    texts = list(text or []) + (_read_lines(file) if file else [])
    if not texts:
        raise ConfigError("There is nothing to predict. Give --text SENTENCE or --file FILE.")
    from pipeline.predictor import Predictor

    for prediction in Predictor.load(name).predict(texts):
        values = asdict(prediction)
        print_json({key: values[key] for key in ("text", "label", "label_id", "probabilities", "truncated")})


def _read_lines(path: Path) -> list[str]:
    try:
        content = (sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()).decode("utf-8-sig")
    except OSError as exception:
        reason = exception.strerror
        raise ConfigError(f"{path} cannot be read ({reason}). Give a text file with a sentence per line.") from None
    except UnicodeDecodeError as exception:
        raise ConfigError(f"{path} is not UTF-8 (byte {exception.start}). Convert it to UTF-8 first.") from None
    # Not splitlines(), which also cuts at form feeds and Unicode's own line ends: texts from the web have them inside.
    return [line for line in re.split(r"\r\n|\r|\n", content) if line.strip()]


@app.command()
def calibrate(name: Name, remove: Annotated[bool, typer.Option("--remove", help="Undo it.")] = False) -> None:
    """Fit a temperature to a run's validation split: how sure it says it is changes, no prediction does."""
    from pipeline import calibration
    from pipeline.catalog import load_run

    run = load_run(name)
    if remove:
        calibration.remove_calibration(run)
        print_json({"run": name, "temperature": 1.0})
    else:
        print_json({"run": name, **asdict(calibration.calibrate(run))})


Members = Annotated[list[str], typer.Argument(help="Runs; of one alone, its kept states.", show_default=False)]


@app.command()
def ensemble(name: Name, members: Members) -> None:
    """Make a run that answers with the mean of several models' probabilities, and measure it on validation."""
    from pipeline.combining import make_ensemble

    print_json(make_ensemble(name, members))


@app.command()
def average(name: Name, members: Members) -> None:
    """Make a run with the mean of several models' weights, and measure it on validation."""
    from pipeline.combining import average_weights

    print_json(average_weights(name, members))


@app.command()
def runs() -> None:
    """List all runs, newest first: one JSON line each."""
    from pipeline.catalog import load_run, run_names

    for name in run_names():
        try:
            print_json(load_run(name).summary())
        except WorkbenchError as exception:
            print(f"{name}: {exception}", file=sys.stderr)


@app.command()
def fetch(names: Annotated[list[str], typer.Argument(help="Models and data sets.", show_default=False)]) -> None:
    """Load models and data sets of the Hub into this machine's cache; after a break it goes on where it was."""
    from pipeline import fetching

    exit_status = 0
    for name, found in {name: fetching.find_wanted(name) for name in names}.items():
        try:
            print_json(asdict(fetching.fetch(name, *found)))
        except WorkbenchError as exception:     # the others come all the same
            print(exception, file=sys.stderr)
            exit_status = 1
    raise typer.Exit(exit_status)


@app.command()
def fields() -> None:
    """List what `--set` takes, with defaults and meanings, and the presets."""
    for field in FIELDS.values():
        choices = f" [{'|'.join(field.choices)}]" if field.choices else ""
        print(f"{field.name} = {json.dumps(field.default)}{choices}\n    {field.description}")
    for name, values in all_presets().items():
        print(f"{'--preset' if name in preset_names() else 'sweep'} {name}\n    {values['note']}")
    print(f"--budget\n    {BUDGET_HELP}")


def _end(exit_status: int, run: Any) -> None:
    status = run.status()
    print_json({"name": run.name, "state": status.state, "step": status.step, "best": status.best})
    if exit_status:
        raise typer.Exit(exit_status)


if __name__ == "__main__":
    run_command(app)
