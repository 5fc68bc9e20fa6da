"""Runs compared: means over seeds, gains that are tested and corrected, costs beside them, and true verdicts."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from scipy.stats import binomtest

from analysis.experiment import Cost, Spread, measure
from pipeline import sweeping
from pipeline.catalog import create_run
from pipeline.exceptions import RunError
from pipeline.experiments import Experiment, members_of
from pipeline.models import CALIBRATION_FILE
from pipeline.runs import Status, write_json
from tests.command import analysis
from tests.measured_runs import ablation, write_run

LONG, FAST = {"optim.epochs": 9}, {"optim.learning_rate": 1e-3}


def verdicts(experiment: Experiment) -> dict[str, str]:
    return {variant.name: variant.verdict for variant in measure(experiment).variants}


@pytest.mark.parametrize(("num_wrong", "seconds", "verdict"), [
    (20, 60.0, "gain"), (20, 90.0, "gain_dearer"), (80, 60.0, "loss"), (80, 30.0, "loss"),
    (48, 60.0, "noise"), (48, 90.0, "noise_dearer"), (48, 30.0, "noise_cheaper"),
])
def test_a_change_is_judged_by_what_it_gains_and_costs(
    run_root: Path, num_wrong: int, seconds: float, verdict: str
) -> None:
    experiment = ablation(seeds=2, long=LONG)
    for member in members_of(experiment):
        write_run(member, *((50, 60.0) if member.variant == "baseline" else (num_wrong, seconds)))
    assert verdicts(experiment) == {"baseline": "baseline", "long": verdict}


def test_a_gain_of_one_seed_asks_for_more(run_root: Path) -> None:
    experiment = ablation(long=LONG)
    for member, num_wrong in zip(members_of(experiment), (50, 20), strict=True):
        write_run(member, num_wrong)
    assert verdicts(experiment)["long"] == "gain_of_one_seed"


def test_of_one_seed_the_test_is_mcnemars_corrected_for_all_changes(run_root: Path) -> None:
    experiment = ablation(long=LONG, fast=FAST)
    for member, num_wrong in zip(members_of(experiment), (50, 44, 50), strict=True):
        write_run(member, num_wrong)
    _, long, fast = measure(experiment).variants
    assert long.gain is not None and fast.gain is not None
    assert (long.gain.n, long.gain.mean.value) == (400, pytest.approx(6 / 400))
    assert long.gain.p_value == binomtest(6, 6).pvalue == pytest.approx(1 / 32)      # 6 mended, none broken
    assert long.gain.corrected == pytest.approx(2 / 32)                             # the smaller of two
    assert long.verdict == "noise" and fast.gain.corrected == 1
    assert (long.fields, fast.fields) == (
        {"optim.epochs": 9, "optim.learning_rate": 5e-5}, {"optim.epochs": 3, "optim.learning_rate": 1e-3},
    )


def test_what_all_runs_have_is_told_beside_what_differs(run_root: Path) -> None:
    of_all = {"data.limit": 300, "optim.learning_rate": 1e-4}
    experiment = ablation(seeds=2, long=LONG).model_copy(update={"set": of_all})
    for member in members_of(experiment):
        write_run(member, 50)
    result = measure(experiment)
    assert result.seeds == [1, 2] and list(result.variants[0].fields) == ["optim.epochs"]
    assert result.shared == {"model.base": "all-MiniLM-L6-v2", "data.source": "starter", **of_all}


def test_who_hardly_beats_the_most_frequent_label_is_told(run_root: Path) -> None:
    """Half of 400 have each label: chance alone has 217 of them right in 4.9% of all cases, 216 in 6.1%."""
    experiment = ablation(seeds=2, long=LONG, fast=FAST)
    for member in members_of(experiment):
        write_run(member, {"baseline": 50, "long": 183, "fast": 184}[member.variant])
    assert [variant.guessing for variant in measure(experiment).variants] == [None, None, 0.5]


def test_figures_are_means_over_seeds_with_their_spread(run_root: Path) -> None:
    experiment = ablation(seeds=3, long=LONG)
    for member in members_of(experiment):
        write_run(member, 40 + 4 * member.seed if member.variant == "baseline" else 20, 60.0 * member.seed)
    first, other = measure(experiment).variants
    assert first.metrics["accuracy"] == Spread(pytest.approx(1 - 48 / 400), pytest.approx(0.01), 3)
    assert {"loss", "macro_f1", "weighted_f1", "precision", "recall", "ece"} <= set(first.metrics)
    assert first.cost == Cost(120.0, 3e8, 200.0)
    assert first.runs == [f"ablation-baseline-s{seed}" for seed in (1, 2, 3)]
    assert other.cost_ratios == {"seconds": 1.0, "memory_bytes": 1.0}
    assert other.gain is not None and other.verdict == "gain"
    assert other.gain.by_seed == pytest.approx({1: 24 / 400, 2: 28 / 400, 3: 32 / 400})
    assert other.gain.mean.value == pytest.approx(28 / 400)
    assert 0 < other.gain.mean.low < other.gain.mean.value < other.gain.mean.high


def test_a_run_calibrated_afterwards_changes_no_figure(run_root: Path) -> None:
    experiment = ablation(seeds=2, long=LONG)
    runs = [write_run(member, 50) for member in members_of(experiment)]
    before = measure(experiment)
    runs[0].best_folder.mkdir()
    write_json(runs[0].best_folder / CALIBRATION_FILE, {"temperature": 4.0})
    assert measure(experiment) == before


def test_a_gain_that_one_seed_does_not_have_is_noise(run_root: Path) -> None:
    experiment = ablation(seeds=2, long=LONG)
    for member in members_of(experiment):
        gains = member.variant == "long" and member.seed == 1
        write_run(member, 0 if gains else 52 if member.variant == "long" else 50)
    other = measure(experiment).variants[1]
    assert other.gain is not None and other.gain.corrected < 0.05
    assert other.verdict == "noise"


def test_seeds_that_are_missing_are_told_and_only_those_of_both_are_compared(run_root: Path) -> None:
    experiment = ablation(seeds=2, long=LONG, fast=FAST)
    for member in members_of(experiment):
        if (member.variant, member.seed) in [("baseline", 1), ("baseline", 2), ("long", 2)]:
            write_run(member, 50 - member.seed)
        elif member.variant != "baseline":
            create_run(member.config).write_status(Status(state="failed"))
    _, long, fast = measure(experiment).variants
    assert long.unfinished == {"ablation-long-s1": "failed"} and long.gain is not None
    assert list(long.gain.by_seed) == [2]
    assert (fast.runs, fast.metrics, fast.cost, fast.verdict) == ([], {}, None, "not_compared")
    assert fast.reason == "No seed has predictions of both."
    assert set(fast.unfinished.values()) == {"failed"}


def test_there_is_no_verdict_before_all_runs_are_done(run_root: Path) -> None:
    experiment = ablation(seeds=2, long=LONG)
    *early, last = members_of(experiment)
    for member in early:
        write_run(member, 80 if member.variant == "long" else 50)
    _, long = measure(experiment).variants
    assert long.gain is not None and long.gain.mean.value < 0
    assert (long.verdict, long.gain.corrected) == ("unfinished", None)
    write_run(last, 50)
    with sweeping._lock("ablation"):        # it may still evaluate the last run on test
        assert verdicts(experiment)["long"] == "unfinished"
    assert verdicts(experiment)["long"] == "noise"


def test_a_run_that_cannot_begin_because_its_base_failed_is_not_waited_for(run_root: Path) -> None:
    experiment = ablation(first={"data.source": "imdb"}, second={"model.base": "first"}, third={"model.base": "second"})
    base, first, *_ = members_of(experiment)
    write_run(base, 50)
    create_run(first.config).write_status(Status(state="failed"))
    assert [*verdicts(experiment).values()] == ["baseline", "not_compared", "not_compared", "not_compared"]


def test_test_is_told_where_every_run_has_it_and_validation_otherwise(run_root: Path) -> None:
    experiment = ablation(long=LONG)
    first, other = members_of(experiment)
    write_run(first, 50, splits=("validation", "test"))
    assert measure(experiment).split == "test"
    write_run(other, 50)
    assert measure(experiment).split == "validation"


def test_runs_on_other_examples_are_not_compared_and_it_says_why(run_root: Path) -> None:
    experiment = ablation(own={"data.source": "owner/other"})
    first, other = members_of(experiment)
    write_run(first, 50)
    path = write_run(other, 50).folder / "predictions/owner__other/validation.parquet"
    pq.write_table(pq.read_table(path).slice(0, 300), path)
    own = measure(experiment).variants[1]
    assert own.verdict == "not_compared" and own.metrics
    assert own.reason is not None and own.reason.startswith("Their examples are not the same")


def test_a_run_that_goes_on_from_another_costs_what_both_took(run_root: Path) -> None:
    experiment = ablation(first={"data.source": "imdb"}, second={"model.base": "first"})
    base, first, second = members_of(experiment)
    write_run(base, 50, 60)
    stage = write_run(first, 0, 100)
    (stage.folder / "predictions/imdb/validation.parquet").unlink()     # it predicts no labels
    write_run(second, 50, 50)
    result = measure(experiment)
    assert result.variants[1].verdict == "not_compared" and result.variants[1].metrics == {}
    cost = result.variants[2].cost
    assert cost is not None and cost.seconds == 150


def test_nothing_finished_is_told(run_root: Path) -> None:
    with pytest.raises(RunError) as caught:
        measure(ablation(long=LONG))
    assert str(caught.value) == "No run of 'ablation' has finished yet. Sweep it: sweep ablation."


def test_the_command_prints_a_line_per_change(run_root: Path) -> None:
    experiment = ablation(long=LONG)
    for member in members_of(experiment):
        write_run(member, 50)
    answer = analysis("experiment", "ablation")
    assert answer.status == 0
    assert [(line["name"], line["verdict"], line["split"]) for line in answer.lines] == [
        ("baseline", "baseline", "validation"), ("long", "noise", "validation"),
    ]
    assert answer.lines[1]["gain"]["mean"]["value"] == 0
    assert analysis("experiment", "ablatoin").status == 2
