"""What has been read of a run's predictions already? Files, masks and slices, kept while they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.compare import changes
from analysis.embeddings import impartial_encoder, sentence_embeddings
from analysis.errors import Filter, rows_of
from analysis.examples import Examples, examples_of, predictions_files, texts_of
from analysis.label_quality import JudgedLabels, judge_labels
from analysis.phenomena import PHENOMENA, Named, PhenomenaOf, pieces_table
from analysis.slices import Cluster, Slice, error_clusters, found_slices, known_slices
from analysis.training_index import open_index
from pipeline.catalog import all_runs
from pipeline.exceptions import RunError
from pipeline.judgements import MARKS, judgements
from pipeline.models import load_tokenizer
from pipeline.predictions import read_predictions
from pipeline.runs import Run
from reports.words import say
from tabs.runs_view import when_predicted
from tabs.shared import find_run

Written = tuple[int, ...]
MAX_CLUSTERED = 1000
BECAME = ("fixed", "broken", "still_wrong")


@dataclass(frozen=True)
class Opened:
    """A file of predictions, and what a rule may name in it."""

    run: Run
    examples: Examples

    @cached_property
    def row_of(self) -> dict[str, int]:
        return {example_id: row for row, example_id in enumerate(self.examples.predictions.example_ids)}

    @cached_property
    def phenomena(self) -> PhenomenaOf:
        return PhenomenaOf(self.examples.predictions.texts)

    def phenomenon(self, name: str) -> np.ndarray:
        return self.phenomena[name]

    def rare_words(self) -> np.ndarray:
        return pieces_table(self.examples.predictions.texts, load_tokenizer(str(self.run.best_folder)))

    @cached_property
    def judged(self) -> JudgedLabels:
        return judge_labels(self.run, self.examples.predictions)

    def doubtful_label(self) -> np.ndarray:
        """Whose gold label an out-of-sample model takes for wrong."""
        doubtful = np.zeros(len(self.examples.texts), bool)
        doubtful[[each.row for each in self.judged.ranked if each.is_issue]] = True
        return doubtful

    def marked(self, file: str, mark: str) -> np.ndarray:
        known = judgements(self.run, *file.split("/"))
        ids = self.examples.predictions.example_ids
        return np.array([example_id in known and known[example_id].mark == mark for example_id in ids], bool)

    @cached_property
    def slices(self) -> tuple[list[Slice], list[Slice]]:
        """Those known beforehand, and those found; how frequent they are in training, where its index was built."""
        train = None
        if index := open_index(self.run):
            texts = index.texts.to_pylist()
            train = texts_of(texts), PhenomenaOf(texts)
        known = known_slices(self.examples, self.phenomena, train=train)
        return known, found_slices(self.examples, self.phenomena, train)

    @cached_property
    def clusters(self) -> list[Cluster]:
        """Of the MAX_CLUSTERED errors with the highest loss, by meaning."""
        rows = rows_of(self.examples, Filter())[:MAX_CLUSTERED]
        texts = [self.examples.predictions.texts[row] for row in rows.tolist()]
        if not texts:
            return []
        return error_clusters(self.examples, sentence_embeddings(impartial_encoder(self.run), texts), rows)

    def in_cluster(self, number: int) -> np.ndarray:
        inside = np.zeros(len(self.examples.texts), bool)
        inside[self.clusters[number].rows] = True
        return inside


def runs_with_predictions() -> list[str]:
    """Names, newest first."""
    return [run.name for run in all_runs() if predictions_files(run)]


def file_choices(run: Run | None) -> list[str]:
    """`<data>/<split>`, newest first."""
    return [f"{file.data}/{file.split}" for file in predictions_files(run)] if run else []


def open_predictions(run: Run, file: str) -> Opened:
    """Raises: RunError when the run keeps no such predictions any more."""
    for kept in predictions_files(run):
        if f"{kept.data}/{kept.split}" == file:
            return _opened(run, kept.path, when_predicted(run, kept.path))
    raise RunError(say("errors.no_file", run=run.name, file=file))


@lru_cache(maxsize=4)
def _opened(run: Run, path: Path, written: Written) -> Opened:
    return Opened(run, examples_of(read_predictions(path)))


def asked_rows(
    name: str | None, file: str | None, beside: str, show: Any, search: str, regex: bool, rule: str, sort: Any
) -> tuple[Opened, np.ndarray, np.ndarray] | None:
    """The predictions, the rows of the list in order, and those that rule and search mean, right or wrong.

    None where nothing is chosen. Raises: WorkbenchError for a rule or search that is not understood.
    """
    run = find_run(name)
    if run is None or not file:
        return None
    opened = open_predictions(run, file)
    wanted = Filter("all", search.strip(), regex, rule.strip(), sort)
    meant = rows_of(opened.examples, wanted, _named(opened, file, find_run(beside)))
    shown = meant if show == "all" else meant[opened.examples.wrong[meant] == (show == "errors")]
    return opened, shown, meant


def became(opened: Opened, beside: Run, file: str) -> dict[str, np.ndarray]:
    """What became of the errors of a run beside this one, (N,) bool by one of BECAME.

    Raises: RunError when it keeps no predictions of the same examples.
    """
    return changes(open_predictions(beside, file).examples.predictions, opened.examples.predictions)


def _named(opened: Opened, file: str, beside: Run | None) -> Named:
    """Phenomena, what people said of the sentences, and what became of the errors of a run beside this one."""
    masks: dict[str, Callable[[], np.ndarray]] = {name: partial(opened.phenomenon, name) for name in PHENOMENA}
    masks |= {"rare_words": opened.rare_words, "doubtful_label": opened.doubtful_label}
    if "clusters" in opened.__dict__:       # they were asked for
        masks |= {f"cluster_{n}": partial(opened.in_cluster, n) for n in range(len(opened.clusters))}
    masks |= {mark: partial(opened.marked, file, mark) for mark in MARKS}
    if beside:
        masks |= {name: partial(lambda name: became(opened, beside, file)[name], name) for name in BECAME}
    return Named(masks)
