"""How does a text read after it has been in another language? Models that translate there and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.config_parts import split_names
from pipeline.exceptions import ModelError
from pipeline.sources import find_model

Translate = Callable[[list[str]], list[str]]


def check_translators(names: str) -> None:
    """Raises: ModelError where there are fewer than two, or one cannot be had here."""
    if len(split_names(names)) < 2:
        raise ModelError(
            f"augment.translators is '{names}'; back_translation needs a model that translates there and one back. "
            "Name both, with a comma between, or take back_translation out of augment.steps."
        )
    for name in split_names(names):
        try:
            find_model(name)
        except ModelError as exception:
            where = str(exception).partition(". ")[0]       # the names it proposes are those of encoders
            raise ModelError(
                f"{where}, and back_translation translates with it. Fetch it while the Hub can be reached, or take "
                "back_translation out of augment.steps."
            ) from None


def back_translator(names: str, device_name: str) -> Translate:
    """Each text through all of the models in turn, greedily. Raises: ModelError, as `check_translators`, or in loading.

    Source: Sennrich et al. 2016, https://arxiv.org/abs/1511.06709.
    """
    check_translators(names)
    from pipeline.models import choose_device, load_translator

    device = choose_device(device_name)
    loaded = [load_translator(name, device) for name in split_names(names)]

    def there_and_back(texts: list[str]) -> list[str]:
        for model, tokenizer in loaded:
            texts = _translated(texts, model, tokenizer)
        return texts

    return there_and_back


def _translated(texts: list[str], model: Any, tokenizer: Any) -> list[str]:
    import torch

    from pipeline.models import max_positions

    most = max_positions(model, tokenizer)
    batch = tokenizer(texts, padding=True, truncation=True, max_length=most, return_tensors="pt").to(model.device)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        written = model.generate(**inputs, num_beams=1, do_sample=False, max_length=most)
    translated: list[str] = tokenizer.batch_decode(written, skip_special_tokens=True)
    return translated
