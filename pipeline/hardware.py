"""How does this machine compute? Its precision, its memory, and what makes a run repeat bit for bit."""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

import psutil

from pipeline.exceptions import ConfigError

if TYPE_CHECKING:
    import torch


def choose_precision(name: str, device: torch.device) -> str:
    """accelerate's word for a precision; auto takes bf16 where the device computes it, which needs no loss scaling.

    Raises: ConfigError for fp16 on a CPU.
    """
    if name == "auto":
        name = "bf16" if _computes_bf16(device) else "fp32"
    if name == "fp16" and device.type == "cpu":
        raise ConfigError(
            "hardware.precision is fp16, which needs a GPU. Set it to 'auto', 'bf16' or 'fp32'.", "hardware.precision"
        )
    return "no" if name == "fp32" else name


def _computes_bf16(device: torch.device) -> bool:
    """In hardware: emulated, as on CPUs with AVX2 alone, it was ten times slower than fp32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def memory_bytes(device: torch.device) -> int:
    """CUDA: the most that was allocated since `forget_peak_memory`; else what is resident now."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return int(psutil.Process().memory_info().rss)


def forget_peak_memory(device: torch.device) -> None:
    """Evaluations predict many texts at once: their peak would hide what a step takes."""
    import torch

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def seed_everything(seed: int, deterministic: bool) -> None:
    """Seed new weights and dropout; with `deterministic`, only kernels that repeat bit for bit."""
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    # Else every new tensor is filled with NaN first, to make reads of uninitialised memory repeat: we make none.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = False
    # It plans each new shape of a batch for hundreds of milliseconds, and does not repeat bit for bit.
    torch.backends.cuda.enable_cudnn_sdp(False)


def random_state() -> dict[str, Any]:
    """Where torch's random numbers stand, on the CPU and on each GPU."""
    import torch

    cuda_rng = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"rng": torch.get_rng_state(), "cuda_rng": cuda_rng}


def set_random_state(state: dict[str, Any]) -> None:
    import torch

    torch.set_rng_state(state["rng"].cpu())
    if torch.cuda.is_available() and state["cuda_rng"]:
        torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])


def keep_freed_memory() -> None:
    """Let the C library keep what one step frees for the next one, for the rest of this process (glibc only).

    Else it maps a gradient of tens of megabytes anew in every step, and the kernel fills each of its pages with
    zeros: a tenth of a BERT-like model's step on a CPU.
    Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def limit_kept_memory(device: torch.device) -> None:
    """Where a CPU's run has 8 GiB or a third of the memory resident, let the C library give back what it keeps (glibc).

    Steps on long texts, each of another shape, leave the heap in pieces: without this, a run on IMDB grows to three
    times what its steps need.
    Source: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
    """
    if device.type != "cpu" or memory_bytes(device) <= _KEPT_BYTES:
        return
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


# Each time costs as much as a step or two, so not sooner than needed.
_KEPT_BYTES = min(8 * 1024**3, psutil.virtual_memory().total // 3)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4     # malloc.h
