"""`python -m analysis ...`: what a run gets wrong, and why. Results as JSON on stdout, the rest on stderr."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from analysis.errors import Filter, Show, Sort, lines, rows_of
from analysis.examples import Examples, examples_of, newest_predictions
from analysis.phenomena import PhenomenaOf
from pipeline.catalog import load_run
from pipeline.command import print_json, run_command
from pipeline.exceptions import ConfigError, RunError
from pipeline.predictions import read_predictions

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Name = Annotated[str, typer.Argument(help="Name of a run.", show_default=False)]
Data = Annotated[str | None, typer.Option(help="Predictions of this data source; the newest when empty.")]
Split = Annotated[str | None, typer.Option(help="train, validation or test; the newest predictions when empty.")]
Rule = Annotated[str, typer.Option(help="A rule, such as 'contrast & words>20'.")]


@app.command()
def errors(
    name: Name,
    data: Data = None,
    split: Split = None,
    show: Annotated[str, typer.Option(help=f"{', '.join(get_args(Show))}.")] = "errors",
    rule: Rule = "",
    search: Annotated[str, typer.Option(help="Text that they contain.")] = "",
    regex: Annotated[bool, typer.Option("--regex", help="--search is an expression of RE2's.")] = False,
    sort: Annotated[str, typer.Option(help=f"{', '.join(get_args(Sort))}.")] = "loss",
    limit: Annotated[int | None, typer.Option(min=1, help="So many at most.")] = None,
) -> None:
    """Print the examples that a run gets wrong, highest loss first: one JSON line each."""
    order = cast(Sort, _one_of("--sort", sort, Sort))
    wanted = Filter(cast(Show, _one_of("--show", show, Show)), search, regex, rule, order)
    examples = _examples(name, data, split)
    for line in lines(examples, rows_of(examples, wanted, PhenomenaOf(examples.predictions.texts))[:limit]):
        print_json(line)


@app.command()
def slices(
    name: Name,
    data: Data = None,
    split: Split = None,
    rule: Annotated[list[str] | None, typer.Option(help="A slice of your own; may be given several times.")] = None,
) -> None:
    """Say where a run fails more than elsewhere: one JSON line a slice; `found` ones it found by itself."""
    from analysis.slices import found_slices, known_slices

    examples = _examples(name, data, split)
    phenomena = PhenomenaOf(examples.predictions.texts)
    for kind, found in {
        "known": known_slices(examples, phenomena, rule or []), "found": found_slices(examples, phenomena),
    }.items():
        for each in found:
            print_json({"kind": kind, **asdict(each)})


@app.command()
def explain(
    name: Name,
    text: Annotated[str | None, typer.Option(help="A sentence.")] = None,
    example: Annotated[str | None, typer.Option(help="An example of its predictions, such as test:12.")] = None,
    data: Data = None,
    split: Split = None,
    label: Annotated[str | None, typer.Option(help="What the words speak for; the predicted label when empty.")] = None,
    against: Annotated[str | None, typer.Option(help="Against this label; against all others when empty.")] = None,
    method: Annotated[str, typer.Option(help="A method of attribution.")] = "integrated_gradients",
) -> None:
    """Say why a sentence is predicted so: words, faithfulness, findings, smallest flips, as one JSON object."""
    if (text is None) == (example is None):
        raise ConfigError("One thing is explained at a time. Give either --text SENTENCE or --example ID.")
    run, gold, predicted = load_run(name), None, None
    from analysis.context import predicted_by_others
    from analysis.explanation import explained

    if example is not None:
        file = newest_predictions(run, data, split)
        text, gold = _example(examples_of(read_predictions(file.path)), example)
        predicted = predicted_by_others(run, file.data, file.split, example)
    print_json(explained(run, text or "", gold, label, against, method, predicted))


@app.command()
def compare(name: Name, other: Name, data: Data = None, split: Split = None) -> None:
    """Say what became of a run's errors in another run, on the same examples; slice by slice, too."""
    from analysis.compare import changes
    from analysis.compare import compare as compared
    from analysis.slices import changes_by_slice

    first, second = (_examples(each, data, split) for each in (name, other))
    became = changes(first.predictions, second.predictions)
    ids = second.predictions.example_ids
    by_slice = changes_by_slice(became, second, PhenomenaOf(second.predictions.texts))
    print_json({
        "run": name,
        "other": other,
        **asdict(compared(first.predictions, second.predictions)),
        "examples": {what: [ids[row] for row in inside.nonzero()[0]] for what, inside in became.items()},
        "slices": [asdict(each) for each in by_slice],
    })


@app.command()
def experiment(name: Annotated[str, typer.Argument(help="Name of an experiment.", show_default=False)]) -> None:
    """Say what each change of an experiment gains and costs, and whether it is worth it: one JSON line a change."""
    from analysis.experiment import measure
    from pipeline.experiments import load_experiment

    result = measure(load_experiment(name))
    for variant in result.variants:
        print_json({"experiment": name, "split": result.split, **asdict(variant)})


@app.command()
def suite(
    name: Name,
    half: Annotated[str, typer.Option(help="develop, or verify, to judge what was mended.")] = "develop",
) -> None:
    """Ask a model of sentiment the contrast suite: accuracy and pair consistency by phenomenon, the worst pairs."""
    from analysis.suite import score_suite
    from pipeline.predictor import Predictor

    load_run(name)
    print_json(score_suite(Predictor.load(name), half).as_dict(name))


@app.command()
def diagnose(
    name: Annotated[str | None, typer.Argument(help="Name of a run.", show_default=False)] = None,
    config: Annotated[Path | None, typer.Option(help="A run_config.json that has not been trained yet.")] = None,
    preset: Annotated[str | None, typer.Option(help="A preset that has not been trained yet.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE, over preset or file.")] = None,
    try_: Annotated[bool, typer.Option("--try", help="Try short remedies in order, to the first that learns.")] = False,
) -> None:
    """Say why it does not learn, or would not: a verdict, what speaks for it, and what may mend it, as one JSON object.

    Nothing is trained but in passing, and nothing is written.
    """
    from analysis.diagnosis import conclude, examine, try_in_order
    from analysis.patient import patient_of
    from pipeline.__main__ import _requested_config
    from pipeline.stand_ins import refuse_what_is_lacking

    if [name, config, preset].count(None) != 2:
        raise ConfigError("One thing is examined at a time. Give either a run, --config FILE or --preset NAME.")
    run = load_run(name) if name else None
    examined = run.config if run else _requested_config("patient", preset, config, "full", set_ or [])
    refuse_what_is_lacking(preset, examined)
    checks = []
    for check in examine(patient_of(examined, run)):
        print(f"{'fine' if check.is_fine else check.symptom}: {check.told}", file=sys.stderr)
        checks.append(check)
    found = conclude(checks, examined)
    told = asdict(found) | {"run": name, "healthy": not found.symptom}
    if try_:
        told["tried"] = []
        for tried in try_in_order(examined):
            print(f"{tried.remedy.title}: loss {tried.loss:.3f}", file=sys.stderr)
            told["tried"].append(asdict(tried) | {"learnt": tried.learnt})
    print_json(told)


@app.command()
def index(name: Name) -> None:
    """Read the training sentences of a run, once, so that `explain` can say which of them taught it."""
    from analysis.training_index import build_index

    done = 0
    for done, total in build_index(load_run(name)):
        print(f"\r{done:,} of {total:,}", end="", file=sys.stderr)
    print(file=sys.stderr)
    print_json({"run": name, "examples": done})


@app.command()
def labels(
    name: Name,
    data: Data = None,
    split: Split = None,
    all_: Annotated[bool, typer.Option("--all", help="Also the labels that are believed.")] = False,
) -> None:
    """Say which gold labels look wrong to a model that has not seen them: one JSON line each, least believed first."""
    from analysis.label_quality import judge_labels

    run = load_run(name)
    predictions = _examples(name, data, split).predictions
    for each in judge_labels(run, predictions).ranked:
        if each.is_issue or all_:
            print_json({
                "example_id": predictions.example_ids[each.row],
                "text": predictions.texts[each.row],
                "gold": predictions.label_names[each.given_id],
                "suggested": predictions.label_names[each.suggested_id],
                "score": each.score,
                "is_issue": each.is_issue,
            })


def _examples(name: str, data: str | None, split: str | None) -> Examples:
    return examples_of(read_predictions(newest_predictions(load_run(name), data, split).path))


def _example(examples: Examples, example_id: str) -> tuple[str, str]:
    """Text and gold label."""
    predictions = examples.predictions
    if example_id not in predictions.example_ids:
        first = predictions.example_ids[0] if predictions.example_ids else "none"
        raise RunError(f"There is no example '{example_id}' in these predictions. Ids look like {first}; see 'errors'.")
    row = predictions.example_ids.index(example_id)
    return predictions.texts[row], predictions.label_names[predictions.gold_ids[row]]


def _one_of(option: str, value: str, choices: Any) -> str:
    if value not in get_args(choices):
        raise ConfigError(f"{option} is one of {', '.join(get_args(choices))}; found '{value}'.")
    return value


if __name__ == "__main__":
    run_command(app)
