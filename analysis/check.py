"""What does a check say? One question asked of a training, what was found, and which sickness it speaks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One question and its answer."""

    name: str                   # what was looked at
    told: str                   # what was found, in a sentence
    symptom: str = ""           # a key of analysis.diagnosis.SYMPTOMS; empty: nothing is wrong here
    values: dict[str, Any] = field(default_factory=dict)        # the numbers behind it

    @property
    def is_fine(self) -> bool:
        return not self.symptom
