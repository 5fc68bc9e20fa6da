"""Volta's pipeline: learn and predict, without a browser. `from pipeline import Predictor` is the Python API."""

import os

# Read by torch's libraries when they are loaded, so before any import of torch. Threads of the app and of a run that
# wait in busy loops on the same cores slow each other down up to fifteenfold; threads that sleep at once train a third
# slower alone: a short spin does for both (benchmarks/RESULTS.md). A step's gradients are tens of megabytes that the
# system hands out anew each time: huge pages make that quicker. cuBLAS repeats bit for bit only with a fixed space.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

from pipeline.predictor import Predictor

__all__ = ["Predictor"]
