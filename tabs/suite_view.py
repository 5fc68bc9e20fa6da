"""Does it read turns and negations? The scores of the contrast suite, and the pairs that it gets most wrong."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.suite import Answer, PhenomenonScore, SuiteScore, score_suite
from pipeline.predictor import Predictor
from reports.words import say
from tabs.access import telling
from tabs.shared import Block, column, columns, count, find_run, number, table, text


@telling(...)
def ask_suite(name: str) -> Iterator[list[Block]]:
    """The half `develop`: `verify` is left for the command line, to judge what was mended by what is seen here."""
    if find_run(name) is None:
        yield [text(say("errors.choose"), "hint")]
        return
    yield [text(say("suite.asking"), "hint")]
    yield suite_blocks(name, score_suite(Predictor.load(name)))


def suite_blocks(name: str, score: SuiteScore) -> list[Block]:
    by_consistency = sorted(score.phenomena.items(), key=lambda item: item[1].pair_consistency.value)
    heads = [column("phenomenon", "text"), *columns("number", "pairs", "pair_consistency", "accuracy")]
    rows = [_row(say("errors.all"), score.overall)]
    rows += [_row(phenomenon.replace("-", " "), of_it) for phenomenon, of_it in by_consistency]
    return [
        table(say("suite.scores"), heads, rows),
        text(say("suite.explained", run=name), "note"),
        _worst(score.worst),
    ]


def _row(what: str, score: PhenomenonScore) -> list[str]:
    shares = (score.pair_consistency, score.accuracy)
    return [what, count(score.pairs), *(say("suite.share", x=share) for share in shares)]


def _worst(worst: list[tuple[str, list[Answer]]]) -> Block:
    rows = [
        [answer.label, f"{answer.predicted} {number(answer.confidence)}", answer.text]
        for _, answers in worst for answer in answers
    ]
    return table(say("suite.worst"), [*columns("", "gold", "predicted"), column("text", "text")], rows)
