"""`python -m reports ...`: what the page gives as files, from a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.command import print_json, run_command
from pipeline.exceptions import ConfigError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback(help=__doc__)
def reports() -> None:
    """Without it typer would take the one command's name for its first argument."""


@app.command()
def experiment(
    name: Annotated[str, typer.Argument(help="Name of an experiment.", show_default=False)],
    out: Annotated[Path, typer.Option(help="FILE.html, FILE.md or FILE.csv; one that is there is replaced.")],
) -> None:
    """Write what each change of an experiment gains and costs to a file, as the Runs tab does."""
    from analysis.experiment import measure
    from pipeline.experiments import load_experiment
    from reports.experiment_report import KINDS

    if (kind := out.suffix.removeprefix(".")) not in KINDS:
        raise ConfigError(f"A report ends with .{', .'.join(KINDS)}; found '{out.name}'. Choose one of these.")
    if not out.parent.is_dir():
        raise ConfigError(f"There is no folder '{out.parent}' for {out.name}. Make it, or name another place.")
    out.write_text(KINDS[kind](measure(load_experiment(name))), encoding="utf-8", newline="")
    print_json({"experiment": name, "file": str(out)})


if __name__ == "__main__":
    run_command(app)
