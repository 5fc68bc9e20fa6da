"""Which runs become one? Their models as an ensemble, or the mean of their weights: a run record of its own."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.catalog import create_run, load_run
from pipeline.data import load_splits
from pipeline.ensembles import check_same_labels
from pipeline.environment import keep_environment
from pipeline.evaluation import evaluate_run
from pipeline.exceptions import ModelError, RunError
from pipeline.models import (
    ENSEMBLE_TYPE,
    choose_device,
    label_names_of,
    load_classifier,
    load_tokenizer,
    members_of,
    save_model,
)
from pipeline.runs import Run, Status, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def make_ensemble(name: str, names: Sequence[str]) -> dict[str, Any]:
    """A run whose probabilities are the means of those of these runs' best models or, of one alone, its kept states.

    It holds copies: what becomes of its members changes nothing. Returns its metrics on the first one's validation.
    Raises: RunError, ModelError, DataError; nothing is then left behind.
    """
    runs = _usable(names)

    def write(best: Path) -> None:
        members = _write_checkpoints(runs, best / "members")
        load_tokenizer(str(best / "members" / "0")).save_pretrained(best)
        write_json(best / "config.json", {"model_type": ENSEMBLE_TYPE, "members": members})

    return _new_run(name, runs, "Ensemble", write)


def average_weights(name: str, names: Sequence[str]) -> dict[str, Any]:
    """An ordinary run whose weights are the means of those of these runs' best models or, of one alone, its states.

    Returns and raises as `make_ensemble`; ModelError, too, where the models are not of the same build.
    Source: Wortsman et al. 2022, https://arxiv.org/abs/2203.05482 (a uniform soup; its members began with the same
    weights, head included: others may average to a model that knows nothing, which its metrics show); of one run
    Izmailov et al. 2018, https://arxiv.org/abs/1803.05407.
    """
    runs = _usable(names)

    def write(best: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _write_checkpoints(runs, Path(folder))
            loaded = [load_classifier(str(path), choose_device("cpu")) for path in sorted(Path(folder).iterdir())]
            save_model(mean_model([model for model, _ in loaded]), loaded[0][1], best)

    return _new_run(name, runs, "Average of the weights", write)


def mean_model(models: Sequence[PreTrainedModel]) -> PreTrainedModel:
    """A model with the means of their weights and of the statistics of their batch norms. Raises: ModelError."""
    from torch.optim.swa_utils import AveragedModel

    check_same_labels([label_names_of(model.config) for model in models])
    average: Any = AveragedModel(models[0], use_buffers=True)
    shapes = [{name: weight.shape for name, weight in model.state_dict().items()} for model in models]
    for model, its in zip(models, shapes, strict=True):
        if its != shapes[0]:
            raise ModelError(
                "Weights are averaged only of models of the same build; these differ in their encoder, its size or "
                "their head. Make an ensemble of them instead."
            )
        average.update_parameters(model)
    mean: PreTrainedModel = average.module
    return mean


def _usable(names: Sequence[str]) -> list[Run]:
    """Raises: RunError."""
    runs = [load_run(name) for name in names]
    for run in runs:
        if not (run.best_folder / "config.json").is_file():
            raise RunError(f"'{run.name}' has no model yet. Let it train on, or leave it out.")
        if members_of(run.best_folder):
            raise RunError(f"'{run.name}' is an ensemble itself. Name its members instead.")
        if run.config.data.clean != runs[0].config.data.clean:
            raise RunError(f"'{run.name}' cleans its texts otherwise than '{runs[0].name}'. Leave one of them out.")
    if len(runs) == 1 and len(runs[0].states()) < 2:
        raise RunError(
            f"'{runs[0].name}' keeps fewer than two states to put together. Name several runs, or train with states "
            "saved more often (VOLTA_STATE_SECONDS)."
        )
    return runs


def _write_checkpoints(runs: Sequence[Run], folder: Path) -> list[str]:
    """Model folders 0, 1, ...; returns what each of them is."""
    if len(runs) > 1:
        for number, run in enumerate(runs):
            shutil.copytree(run.best_folder, folder / str(number))
        return [run.name for run in runs]
    import torch

    states = runs[0].states()
    model, tokenizer = load_classifier(runs[0].name, choose_device("cpu"))
    for number, path in enumerate(states):
        state = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
        model.load_state_dict(_evaluated_weights(state))
        save_model(model, tokenizer, folder / str(number))
    return [f"{runs[0].name} at step {path.name}" for path in states]


def _evaluated_weights(state: dict[str, Any]) -> dict[str, Any]:
    """Those of the moving average, where one is kept."""
    if state["average"] is None:
        return dict(state["model"])
    prefix = "module."      # beside them stands how many were averaged
    return {name.removeprefix(prefix): it for name, it in state["average"].items() if name.startswith(prefix)}


def _new_run(name: str, runs: Sequence[Run], what: str, write: Callable[[Path], None]) -> dict[str, Any]:
    """A finished run with the first one's config, measured on its validation split."""
    members = ", ".join(run.name for run in runs)
    note = f"{what} of {members}." + _caution(runs)
    run = create_run(runs[0].config.model_copy(update={"name": name, "note": note}))
    try:
        with run.locked():
            write(run.best_folder)
            keep_environment(run, load_splits(run.config.data), str(choose_device()), processes=1)
            metrics = evaluate_run(run, save=True)
            _finish(run, max(member.status().step for member in runs), metrics)
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise
    return metrics


def _caution(runs: Sequence[Run]) -> str:
    seen = {run.environment().get("data", {}).get("validation", {}).get("sha256") for run in runs}
    if len(seen) == 1:
        return ""
    return " They were validated on different examples: some may have been trained on those that this one is judged by."


def _finish(run: Run, step: int, metrics: dict[str, Any]) -> None:
    figures = {name: value for name, value in metrics.items() if name not in ("run", "data", "split", "n")}
    run.append_metrics({"step": step, "epoch": 0.0, "split": "validation", **figures})
    metric = run.config.stop.metric.partition("+")[0]
    best = {"metric": metric, "value": metrics[metric], "step": step}
    now = time.time()
    run.write_status(Status("finished", best=best, started_at=now, updated_at=now))      # it took no steps of its own
