"""On what did a run compute? Versions, device, threads, commit and data fingerprints: environment.json."""

from __future__ import annotations

import logging
import platform
import subprocess
from importlib.metadata import version
from typing import Any

from pipeline.data import Splits
from pipeline.exceptions import RunError
from pipeline.runs import Run, write_json
from pipeline.sources import PROJECT_ROOT

log = logging.getLogger(__name__)


def keep_environment(run: Run, splits: Splits, device: str, processes: int, about: str = "") -> None:
    """Write environment.json at the first start, with what else should be told `about` the run. Later: warn of other
    threads or processes, refuse other data.

    Raises: RunError when the data are no longer those the run began with.
    """
    import torch

    recorded = run.environment()
    if not recorded:
        told = {"processes": processes, **({"about": about} if about else {})}
        write_json(run.folder / "environment.json", describe_environment(splits, device) | told)
        if about:
            log.info("%s", about)
        return
    for what, now in {"threads": torch.get_num_threads(), "processes": processes}.items():
        if (then := recorded.get(what, 1)) != now:      # older records do not count processes
            log.warning(
                "There are %d %s, the run began with %d: it goes on, but not bit for bit as it would have.",
                now, what, then,
            )
    if recorded["data"] != splits.fingerprints:
        raise RunError(
            f"The data of '{run.name}' changed since it began ({splits.place.location}). Restore them, or start anew."
        )


def describe_environment(splits: Splits, device: str) -> dict[str, Any]:
    import torch

    packages = ("torch", "transformers", "accelerate", "datasets", "tokenizers", "numpy", "scikit-learn")
    cuda = torch.device(device).type == "cuda"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in packages},
        "device": device,
        "device_name": torch.cuda.get_device_name(device) if cuda else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
        "data_place": splits.place.kind,
        "dropped": splits.dropped,
        "added": splits.added,
        "data": splits.fingerprints,
    }


def _git_commit() -> str | None:
    try:
        command = ["git", "-C", str(PROJECT_ROOT), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
