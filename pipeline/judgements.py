"""What did people say of a run's sentences? Marks, corrected labels, tags and fixes, among the notes on the run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pipeline.exceptions import RunError
from pipeline.runs import Run

Mark = Literal["wrong_label", "ambiguous", "fine"]
MARKS: tuple[str, ...] = get_args(Mark)
MAX_LENGTH = 10_000         # characters of a note, a tag or a fixed text


@dataclass(frozen=True)
class Judgement:
    """What somebody thinks of one example; the newest one of an example counts, whole."""

    mark: str = ""              # one of MARKS, or none
    label: str = ""             # the corrected one, or none
    tags: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Fix:
    """A sentence to train on next time, with the label that it should have."""

    text: str
    label: str


def judge(run: Run, data: str, split: str, example_id: str, judgement: Judgement) -> None:
    """Raises: RunError for a mark that there is not, or words that are too long."""
    if judgement.mark and judgement.mark not in MARKS:
        raise RunError(f"A mark is one of {', '.join(MARKS)}; found '{judgement.mark[:80]}'.")
    _check_length(judgement.note, *judgement.tags)
    run.append_note("judgement", {"data": data, "split": split, "example_id": example_id, **asdict(judgement)})


def judgements(run: Run, data: str, split: str) -> dict[str, Judgement]:
    """By example id; without those that were taken back."""
    found = {}
    for line in run.notes("judgement"):
        if (line.get("data"), line.get("split")) == (data, split):
            found[str(line.get("example_id"))] = _judgement(line)
    return {example_id: judgement for example_id, judgement in found.items() if judgement != Judgement()}


def _judgement(line: dict[str, Any]) -> Judgement:
    """A line of a run that was brought in may hold anything."""
    tags = line.get("tags")
    texts = {key: str(line.get(key) or "") for key in ("mark", "label", "note")}
    return Judgement(**texts, tags=tuple(map(str, tags)) if isinstance(tags, list) else ())


def add_fix(run: Run, fix: Fix) -> None:
    """Put a sentence on the fix list of a run; a text that is on it gets the new label.

    Raises: RunError for an empty or too long text, or an empty label.
    """
    if not fix.text.strip() or not fix.label.strip():
        raise RunError("A fix is a text and the label that it should have; one of them is empty. Fill in both.")
    _check_length(fix.text)
    run.append_note("fix", {"text": fix.text.strip(), "label": fix.label.strip()})


def take_back_fix(run: Run, text: str) -> None:
    """Take a text off the fix list again, if it is on it."""
    run.append_note("fix", {"text": text, "label": ""})


def fix_list(run: Run) -> list[Fix]:
    """In the order in which the texts were first put on it, without those that were taken back."""
    by_text = {str(line.get("text")): str(line.get("label") or "") for line in run.notes("fix")}
    return [Fix(text, label) for text, label in by_text.items() if label]


def _check_length(*texts: str) -> None:
    longest = max(map(len, texts), default=0)
    if longest > MAX_LENGTH:
        raise RunError(f"At most {MAX_LENGTH:,} characters fit here; found {longest:,}. Shorten it.")
