"""How a machine computes: the precision that it is given, and the memory that it keeps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest
import torch

from pipeline.exceptions import ConfigError
from pipeline.hardware import choose_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("avx512_bf16, amx, expected", [
    (True, False, "bf16"), (False, True, "bf16"), (False, False, "no"),
])
def test_auto_precision_is_bf16_where_a_cpu_computes_it(
    monkeypatch: pytest.MonkeyPatch, avx512_bf16: bool, amx: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert choose_precision("auto", CPU) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_memory_that_a_step_frees_is_kept_for_the_next_one() -> None:
    """Else the kernel maps and zeroes its pages anew, a page fault each. In a process of its own: it is for good."""
    script = """
import resource, torch
from pipeline.hardware import keep_freed_memory
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
before = [faults() for _ in range(3)][-1]
keep_freed_memory()
print(before, [faults() for _ in range(10)][-1])  # the first few find their places
"""
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "0"}
    told = subprocess.check_output([sys.executable, "-c", script], text=True, env=environment, timeout=60)
    before, after = map(int, told.split())
    assert before > 1_000 > 100 > after


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_what_is_kept_is_given_back_where_it_is_much() -> None:
    script = """
import psutil, torch
from pipeline import hardware
hardware.keep_freed_memory()
resident = lambda: psutil.Process().memory_info().rss
before = resident()
kept = [torch.ones(1_000_000) for _ in range(100)]
last = torch.ones(1000)         # stands above them in the heap
del kept
hardware.limit_kept_memory(torch.device("cpu"))
held = resident()
hardware._KEPT_BYTES = before
hardware.limit_kept_memory(torch.device("cpu"))
print(held - before, resident() - before)
"""
    held, left = map(int, subprocess.check_output([sys.executable, "-c", script], text=True, timeout=60).split())
    assert held > 300e6 > 100e6 > left


def test_fp16_is_refused_on_a_cpu() -> None:
    assert choose_precision("fp32", CPU) == "no"
    with pytest.raises(ConfigError, match="fp16, which needs a GPU"):
        choose_precision("fp16", CPU)
