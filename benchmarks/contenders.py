"""What is measured? Volta, and what users would otherwise run: a function each, called in a process of its own.

    echo '{"model": "...", "texts": ["..."], "device": "cpu"}' | python -m benchmarks.contenders pipeline_by_one

The task comes as JSON on standard input, the result is the last line of standard output. Nothing of Volta may be
imported before its own functions run: it would change the environment of the others.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

MAX_LENGTH = 128        # in pieces, Volta's default; no text of SST-2 is longer

# Training. Loading model and data, tokenising and saving the model at the end are not timed for anybody.


def volta_training(task: dict[str, Any]) -> dict[str, Any]:
    """`python -m pipeline train`: the run record is written as always, only computing the evaluations is not timed."""
    from pipeline.training import Training

    clock = {"began": 0.0, "evaluations": 0.0}
    results, evaluate = Training.results, Training._evaluate

    def watched_results(training: Training) -> Any:
        clock["began"] = time.perf_counter()
        return results(training)

    def watched_evaluate(training: Training) -> Any:
        began = time.perf_counter()
        result = evaluate(training)
        clock["evaluations"] += time.perf_counter() - began
        return result

    run = _carried_out(task, results=watched_results, _evaluate=watched_evaluate)
    seconds = time.perf_counter() - clock["began"] - clock["evaluations"]  # with metric lines, status, states, best/
    steps = [line for line in run.metrics() if "grad_norm" in line]
    return {
        "seconds": seconds,
        "steps": len(steps),
        "examples": run.environment()["data"]["train"]["rows"],
        "seconds_in_steps": steps[-1]["seconds"],
        "seconds_in_evaluations": clock["evaluations"],
        "data": run.environment()["data"],
    }


def volta_memory(task: dict[str, Any]) -> dict[str, Any]:
    """The most memory that is ever resident while a run is checked, trained for some steps, and stopped by a signal."""
    import resource
    import signal

    from pipeline.config import make_config
    from pipeline.jobs import check_startable
    from pipeline.training import Training

    began = time.perf_counter()
    found: dict[str, Any] = {}
    results = Training.results

    def watched_results(training: Training) -> Any:
        for result in results(training):
            if training.step == 1:
                found.setdefault("seconds_to_first_step", time.perf_counter() - began)
            if training.step == task["steps"]:
                signal.raise_signal(signal.SIGTERM)
            yield result

    check_startable(make_config(task["config"]))
    run = _carried_out(task, results=watched_results)
    # Never less than what the process had that started this one, which is much less.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"gigabytes": peak / 1e9, "steps": run.status().step, **found}


def _carried_out(task: dict[str, Any], **watched: Any) -> Any:
    """The run of the task's config, done, with these methods of Training watched."""
    import logging
    from unittest.mock import patch

    from pipeline.catalog import create_run
    from pipeline.config import make_config
    from pipeline.jobs import carry_out
    from pipeline.training import Training

    logging.basicConfig(level=logging.INFO)
    run = create_run(make_config(task["config"]))
    with patch.multiple(Training, **watched):
        if carry_out(run):
            raise RuntimeError(run.status().reason)
    return run


def volta_steps(task: dict[str, Any]) -> dict[str, Any]:
    """Examples per second over 40 training steps on SST-2, after ten that are not counted."""
    import torch

    from pipeline.config import make_config
    from pipeline.data import load_splits
    from pipeline.training import prepare_training

    data = {"source": "sst2", "limit": 3_000, "split": "random"}
    config = make_config({"name": "steps", "data": data, "hardware": {"device": "cpu"}})
    splits = load_splits(config.data)
    training, _ = prepare_training(config, splits, splits.train, torch.device("cpu"))
    for _ in range(10):
        training.take_step()
    began = time.perf_counter()
    for _ in range(40):
        training.take_step()
    return {"examples_per_second": 40 * config.optim.batch_size / (time.perf_counter() - began)}


def trainer_defaults(task: dict[str, Any]) -> dict[str, Any]:
    """transformers.Trainer as it comes: batches of 8 in random order, fp32, learning rate 5e-5."""
    return _trainer(task)


def trainer_grouped_bf16(task: dict[str, Any]) -> dict[str, Any]:
    """transformers.Trainer by someone who knows its options: like lengths together, bf16, Volta's batch and rate."""
    return _trainer(
        task,
        train_sampling_strategy="group_by_length",
        bf16=True,
        per_device_train_batch_size=task["batch_size"],
        learning_rate=task["learning_rate"],
    )


def _trainer(task: dict[str, Any], **options: Any) -> dict[str, Any]:
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    model, tokenizer = _load(task)
    train = Dataset.from_dict({"text": task["texts"], "label": task["label_ids"]}).map(
        lambda rows: tokenizer(rows["text"], truncation=True, max_length=MAX_LENGTH), batched=True
    )
    arguments = TrainingArguments(
        output_dir=task["folder"],
        num_train_epochs=1,
        seed=task["seed"],
        use_cpu=task["device"] == "cpu",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        **options,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    began = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - began
    trainer.save_model(task["folder"])
    return {"seconds": seconds, "steps": trainer.state.global_step, "examples": len(train)}


def padded_loop(task: dict[str, Any]) -> dict[str, Any]:
    """The loop of many tutorials: every text padded to 128 pieces, fp32, torch's AdamW at a constant rate."""
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model, tokenizer = _load(task)
    encoded = tokenizer(
        task["texts"], padding="max_length", truncation=True, max_length=MAX_LENGTH, return_tensors="pt"
    )
    examples = TensorDataset(encoded["input_ids"], encoded["attention_mask"], torch.tensor(task["label_ids"]))
    model.to(task["device"]).train()
    began = time.perf_counter()
    optimizer = torch.optim.AdamW(model.parameters(), lr=task["learning_rate"])
    batches = DataLoader(examples, batch_size=task["batch_size"], shuffle=True)
    for batch in batches:
        input_ids, attention_mask, labels = (tensor.to(task["device"]) for tensor in batch)
        loss = model(input_ids=input_ids, attention_mask=attention_mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    loss.item()  # waits for a GPU
    seconds = time.perf_counter() - began
    model.save_pretrained(task["folder"])
    tokenizer.save_pretrained(task["folder"])
    return {"seconds": seconds, "steps": len(batches), "examples": len(examples)}


def _load(task: dict[str, Any]) -> tuple[Any, Any]:
    """A new head, drawn from the seed, on the encoder; attention is what transformers takes by default."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

    set_seed(task["seed"])
    model = AutoModelForSequenceClassification.from_pretrained(task["base"], num_labels=2, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(task["base"])


# Prediction. Loading the model, and a first call on a hundred texts, are not timed for anybody.


def volta_prediction(task: dict[str, Any]) -> dict[str, Any]:
    from pipeline import Predictor

    predictor = Predictor.load(task["name"], task["device"])
    return _timed("labels", lambda texts: [each.label for each in predictor.predict(texts)], task["texts"])


def pipeline_by_one(task: dict[str, Any]) -> dict[str, Any]:
    """`pipeline("text-classification")` as it comes: one text at a time."""
    return _pipeline(task)


def pipeline_by_32(task: dict[str, Any]) -> dict[str, Any]:
    return _pipeline(task, batch_size=32)


def _pipeline(task: dict[str, Any], **options: int) -> dict[str, Any]:
    import torch
    from transformers import pipeline

    # In fp32, as Volta computes: with its default the pipeline would compute in the fp16 that best/ is saved in.
    classifier = pipeline("text-classification", model=task["model"], device=task["device"], dtype=torch.float32)
    return _timed("labels", lambda texts: [each["label"] for each in classifier(texts, **options)], task["texts"])


def _timed(found: str, ask: Callable[[list[str]], list[Any]], texts: list[str], warm_up: int = 100) -> dict[str, Any]:
    """The answers for all texts, and the seconds that they took once a first few had been asked for."""
    ask(texts[:warm_up])
    began = time.perf_counter()
    answers = ask(texts)
    return {"seconds": time.perf_counter() - began, found: answers}


# One sentence at a time. Loading the model, and the first twenty sentences, are not timed for anybody.


def volta_sentence(task: dict[str, Any]) -> dict[str, Any]:
    from pipeline import Predictor

    predictor = Predictor.load(task["name"], task["device"])
    return _timed_sentences(lambda text: predictor.predict([text])[0].label, task["texts"])


def pipeline_sentence(task: dict[str, Any]) -> dict[str, Any]:
    import torch
    from transformers import pipeline

    classifier = pipeline("text-classification", model=task["model"], device=task["device"], dtype=torch.float32)
    return _timed_sentences(lambda text: classifier(text)[0]["label"], task["texts"])


def torch_sentence(task: dict[str, Any], precision: str = "float32") -> dict[str, Any]:
    """Tokenizer, model, argmax, and nothing else."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    dtype = getattr(torch, precision)
    model = AutoModelForSequenceClassification.from_pretrained(task["model"], dtype=dtype).to(task["device"]).eval()

    def label_of(text: str) -> str:
        with torch.inference_mode():
            logits = model(**tokenizer(text, truncation=True, return_tensors="pt").to(task["device"])).logits
        return str(model.config.id2label[int(logits.argmax())])

    return _timed_sentences(label_of, task["texts"])


def torch_bf16_sentence(task: dict[str, Any]) -> dict[str, Any]:
    return torch_sentence(task, "bfloat16")


def onnx_int8_sentence(task: dict[str, Any]) -> dict[str, Any]:
    """ONNX Runtime with weights in 8 bits (dynamic quantization)."""
    import tempfile
    from pathlib import Path

    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from pipeline import Predictor
    from pipeline.onnx_forward import NAMES, export

    predictor = Predictor.load(task["name"], "cpu")
    with tempfile.TemporaryDirectory() as folder:
        path, smaller = Path(folder, "model.onnx"), Path(folder, "int8.onnx")
        export(predictor.model, path)
        quantize_dynamic(path, smaller, weight_type=QuantType.QInt8)
        session = onnxruntime.InferenceSession(smaller)

    def label_of(text: str) -> str:
        encoded = predictor.tokenizer(text, truncation=True, return_tensors="np")
        [logits] = session.run(None, {name: encoded[name] for name in NAMES})
        return predictor.label_names[int(logits.argmax())]

    return _timed_sentences(label_of, task["texts"])


def _timed_sentences(label_of: Callable[[str], str], texts: list[str]) -> dict[str, Any]:
    """`seconds` is the median of a sentence."""
    for text in texts[:20]:
        label_of(text)
    labels, seconds = [], []
    for text in texts:
        began = time.perf_counter()
        labels.append(label_of(text))
        seconds.append(time.perf_counter() - began)
    ordered = sorted(seconds)
    return {"seconds": ordered[len(ordered) // 2], "p95": ordered[len(ordered) * 95 // 100], "labels": labels}


# Explanation. Loading the model, and a first few sentences, are not timed for anybody.


def volta_attribution(task: dict[str, Any]) -> dict[str, Any]:
    """As the Predict tab asks for it: as many steps as the sentence needs."""
    from analysis.attribution import attribute
    from pipeline import Predictor

    predictor = Predictor.load(task["name"], task["device"])

    def explain(texts: list[str]) -> list[float]:
        return [attribute(predictor, text).delta or 0.0 for text in texts]

    return _timed("deltas", explain, task["texts"], warm_up=5)


def captum_50_steps(task: dict[str, Any]) -> dict[str, Any]:
    """A loop of Captum's IntegratedGradients as its tutorial on BERT has it: 50 steps, a sentence at a time."""
    import torch
    from captum.attr import IntegratedGradients
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(task["model"], dtype=torch.float32).to(task["device"])
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    model.eval()
    embed = model.get_input_embeddings()
    gradients = IntegratedGradients(lambda embeddings: model(inputs_embeds=embeddings).logits)

    def explain(text: str) -> float:
        ids = tokenizer(text, return_tensors="pt", truncation=True)["input_ids"].to(task["device"])
        blank = ids.clone()
        blank[0, 1:-1] = tokenizer.pad_token_id
        inputs, baseline = embed(ids).detach(), embed(blank).detach()
        with torch.no_grad():
            logits = model(inputs_embeds=torch.cat([inputs, baseline])).logits
        label_id = int(logits[0].argmax())
        found = gradients.attribute(inputs, baseline, target=label_id, n_steps=50)
        difference = float(logits[0, label_id] - logits[1, label_id])
        return abs(float(found.sum()) - difference) / max(abs(difference), 0.1)

    return _timed("deltas", lambda texts: [explain(text) for text in texts], task["texts"], warm_up=5)


def main() -> None:
    result = globals()[sys.argv[1]](json.load(sys.stdin))
    import torch

    result["threads"] = torch.get_num_threads()
    result["omp_wait_policy"] = os.environ.get("OMP_WAIT_POLICY", "default")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
