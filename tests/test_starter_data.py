"""Is the starter data what examples/README.md says: balanced, varied, split without leaks, not too easy?"""

import json
import re
from collections import Counter
from itertools import combinations, product
from pathlib import Path

import pytest

STARTER = Path(__file__).resolve().parents[1] / "examples" / "starter"
SPLITS = ("train", "validation", "test")
PHENOMENA = {"plain", "contrast", "concession", "negation", "contraction", "late_turn"}
TURNING = PHENOMENA - {"plain"}

# The closed classes of English, as far as the data uses them, with the misspelt forms of the contraction sentences.
CLOSED_CLASSES = """
    a an the this that these those some any no every each all both either neither another such what which who whom whose
    i me my mine myself you u ya yall your ur yours yourself he him his himself she her hers herself it its itself
    we us our ours ourselves they them em their theirs themselves one ones none nobody noone nothing somebody someone
    something anybody anyone any1 anything everybody everyone every1 everything
    of in on at by for 4 from to 2 with wiv w into onto over under up down out off about abt around round through thru
    across after before b4 behind beside beneath between beyond during despite except inside outside near past since
    than thn till til until toward towards upon within without along against among like as per via
    and n an or nor but bt yet so if because cos coz although though tho while whereas unless whether when wen where why
    y there how however then once therefore thus
    am is are r was wuz were be been being do does did done have hav has had having can could cud may might must shall
    should shud will would wud wld let
    not never aint isnt arent wasnt woznt werent dont dnt doesnt didnt dint havent hasnt hadnt cant cudnt couldnt cldnt
    wont wouldnt wudnt shouldnt mustnt neednt shant im ive id ill youre youve youd youll hes shes hed shed hell
    weve wed theyre theyve theyd theyll thats theres whats lets couldve shouldve wouldve
"""
FUNCTION_WORDS = frozenset(CLOSED_CLASSES.split())


def _rows(split: str) -> list[dict]:
    return [json.loads(line) for line in (STARTER / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def data() -> dict[str, list[dict]]:
    return {split: _rows(split) for split in SPLITS}


@pytest.fixture(scope="module")
def everything(data) -> list[dict]:
    return [row for split in SPLITS for row in data[split]]


def _words(text: str) -> list[str]:
    """Casefolded words; an apostrophe inside a word is dropped, so that "don't" and "dont" are one word."""
    return re.findall(r"\w+", re.sub(r"(?<=\w)['’](?=\w)", "", text.casefold()))


def _overlap(left: frozenset[str], right: frozenset[str]) -> float:
    return len(left & right) / len(left | right)


def _frame(text: str) -> str:
    """A sentence without its content: function words and punctuation in order, each run of content words one slot.

    "The plot is dull, but the cast is superb." -> "the _ is _ , but the _ is _ ."
    Function words are those of CLOSED_CLASSES; apostrophes, quotation marks and dashes are left out.
    Every sentence has a frame: none is left out of the count for being short or for having no function word.
    """
    text = re.sub(r"(?<=\w)['’](?=\w)", "", text.casefold())
    marks = (
        token if token in FUNCTION_WORDS or not token[0].isalnum() else "_"
        for token in re.findall(r"\w+|[.,;:!?]+", text)
    )
    frame: list[str] = []
    for mark in marks:
        if mark != "_" or frame[-1:] != ["_"]:
            frame.append(mark)
    return " ".join(frame)


def test_every_line_has_exactly_text_label_and_phenomenon(everything):
    for row in everything:
        assert list(row) == ["text", "label", "phenomenon"], row
        assert isinstance(row["text"], str) and row["text"] == " ".join(row["text"].split()) != "", row
        assert type(row["label"]) is int and row["label"] in (0, 1), row
        assert row["phenomenon"] in PHENOMENA, row


def test_there_are_at_least_1500_sentences_split_about_70_15_15(data, everything):
    assert len(everything) >= 1500
    shares = {split: len(data[split]) / len(everything) for split in SPLITS}
    assert shares == pytest.approx({"train": 0.70, "validation": 0.15, "test": 0.15}, abs=0.01)


@pytest.mark.parametrize("split", SPLITS)
def test_each_split_has_as_many_positive_as_negative_sentences_of_every_phenomenon(data, split):
    counts = Counter((row["phenomenon"], row["label"]) for row in data[split])
    assert {phenomenon for phenomenon, _ in counts} == PHENOMENA
    assert {p: counts[p, 0] for p in PHENOMENA} == {p: counts[p, 1] for p in PHENOMENA}


def test_the_counts_in_the_readme_are_those_of_the_files(data):
    readme = (STARTER.parent / "README.md").read_text(encoding="utf-8")
    told = {
        name: tuple(map(int, numbers))
        for name, *numbers in re.findall(r"^\| `?(\w+)`? \|.*\| (\d+) \| (\d+) \| (\d+) \|$", readme, re.MULTILINE)
    }
    counted = {p: tuple(sum(row["phenomenon"] == p for row in data[split]) for split in SPLITS) for p in PHENOMENA}
    assert told == counted | {"all": tuple(len(data[split]) for split in SPLITS)}


@pytest.mark.parametrize("split", SPLITS)
def test_at_least_a_third_of_each_split_turns(data, split):
    turning = sum(row["phenomenon"] in TURNING for row in data[split])
    assert turning >= len(data[split]) / 3


def test_no_sentence_occurs_twice(everything):
    counts = Counter(" ".join(_words(row["text"])) for row in everything)
    assert [text for text, n in counts.items() if n > 1] == []


def test_no_sentence_is_close_to_one_in_another_split(data):
    """Close: half of the two texts' distinct words are shared, or one normalised text lies inside the other."""
    prepared = {
        split: [(f" {' '.join(words)} ", frozenset(words)) for words in (_words(row["text"]) for row in data[split])]
        for split in SPLITS
    }
    close = [
        (one, other)
        for first, second in combinations(SPLITS, 2)
        for (one, left), (other, right) in product(prepared[first], prepared[second])
        if _overlap(left, right) >= 0.5 or one in other or other in one
    ]
    assert close == []


def test_a_frame_keeps_function_words_and_punctuation_and_makes_one_slot_of_each_run_of_content():
    assert _frame("The plot is dull, but the two old actors aren't.") == "the _ is _ , but the _ arent ."


def test_no_more_than_three_sentences_share_a_frame(everything):
    counts = Counter(_frame(row["text"]) for row in everything)
    assert {frame: n for frame, n in counts.items() if n > 3} == {}


def _bag_of_words_accuracy(vectorizer, data) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(vectorizer, LogisticRegression(max_iter=1000))
    train, test = data["train"], data["test"]
    model.fit([row["text"] for row in train], [row["label"] for row in train])
    return model.score([row["text"] for row in test], [row["label"] for row in test])


def test_counting_words_is_not_enough_to_solve_it(data):
    from sklearn.feature_extraction.text import CountVectorizer

    assert _bag_of_words_accuracy(CountVectorizer(), data) < 0.8


def test_weighting_words_and_pairs_of_words_is_not_enough_to_solve_it(data):
    from sklearn.feature_extraction.text import TfidfVectorizer

    assert _bag_of_words_accuracy(TfidfVectorizer(ngram_range=(1, 2)), data) < 0.8
