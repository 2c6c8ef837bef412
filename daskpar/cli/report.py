"""`daskpar report`: a page about a run, or about several side by side."""

from __future__ import annotations

from pathlib import Path

import click

from daskpar.cli.lines import errors_in_one_line, writing
from daskpar.cli.options import examples
from daskpar.cli.terminal import err, out


@click.command(
    epilog=examples(
        "daskpar report runs/digits_mlp",
        "daskpar report runs/digits_mlp runs/digits_cnn -o comparison.html",
    )
)
@click.argument("folders", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="HTML file to write.  [default: report.html in the folder of the run; for several runs, in the "
    "current folder]",
)
@click.option(
    "--rows",
    metavar="N",
    type=click.IntRange(min=0),
    default=4000,
    show_default=True,
    help="Evaluate at most N rows of the validation data of each run, fewer for a large model; 0 evaluates "
    "none.",
)
@click.option(
    "--import",
    "imports",
    multiple=True,
    metavar="FILE",
    help="Import a Python file or module that registers blocks of your own.",
)
def report(folders: tuple[str, ...], output: str | None, rows: int, imports: tuple[str, ...]) -> None:
    """Write an HTML page about a run, or several side by side.

    RUN is the folder of a run. The page is one file without any other. It has the scores, curves, settings,
    the model, the confusion matrix or the residuals, the worst examples, filters and attention maps, the
    graph of a step, the recorded profile, and the environment. A run need not be finished. A section whose
    data or model cannot be read says so.
    """
    with errors_in_one_line():
        from daskpar.cli.restored_run import restored_runs
        from daskpar.report.run import report_html

        runs = restored_runs(folders, imports, rows, err.print)
        target = output or str(runs[0].recorded.folder / REPORT if len(runs) == 1 else REPORT)
        page = report_html(runs, Path(target)).encode()
        with writing(target) as file:
            file.write(page)
        about = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
        out.print(f"{target}: report of {about}, {len(page) / 1e6:.1f} MB")


REPORT = "report.html"
"""The default name of the page."""
