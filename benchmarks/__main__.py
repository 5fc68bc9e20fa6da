"""`python -m benchmarks [NAME ...]`: all benchmarks, or those named, one after the other (`make bench`).

`recipes` is not among them: it trains for many hours (see there).
Each prints its progress on standard error and one JSON object on standard output (crash: one a line and one at the
end). Nothing else should compute meanwhile.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks.contest import end_cleanly_when_terminated, say
from pipeline.sources import PROJECT_ROOT

# On two CPU cores.
MINUTES = {
    "startup": 2,
    "one_sentence": 3,
    "bulk_prediction": 5,
    "attribution_speed": 3,
    "beside": 7,
    "insight": 30,
    "precision": 4,
    "kept_memory": 30,
    "memory": 5,
    "titles": 2,
    "spinning": 6,
    "crash": 8,
    "training_speed": 60,
}


def run(name: str) -> bool:
    say(f"\n{name}: about {MINUTES[name]} minutes on two CPU cores")
    began = time.monotonic()
    succeeded = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=PROJECT_ROOT).returncode == 0
    say(f"{name}: {'done' if succeeded else 'FAILED'} after {(time.monotonic() - began) / 60:.1f} minutes")
    return succeeded


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(MINUTES)}; all when empty")
    names = parser.parse_args().names or list(MINUTES)
    if unknown := [name for name in names if name not in MINUTES]:
        parser.error(f"there is no benchmark '{unknown[0]}'; choose from {', '.join(MINUTES)}")
    end_cleanly_when_terminated()
    if len(names) > 1:
        say(f"{len(names)} benchmarks, about {sum(map(MINUTES.__getitem__, names))} minutes on two CPU cores")
    succeeded = [run(name) for name in names]
    sys.exit(not all(succeeded))


if __name__ == "__main__":
    main()
