"""`daskpar runs`: a table of the runs in a folder."""

from __future__ import annotations

import click

from daskpar.cli.lines import errors_in_one_line
from daskpar.cli.options import examples
from daskpar.cli.terminal import echo, out


@click.command(
    epilog=examples(
        "daskpar runs",
        "daskpar runs runs --sort -accuracy --filter 'layout=data' --filter 'accuracy>0.9'",
        "daskpar runs --columns name,test.accuracy,layout --json",
    )
)
@click.argument("folder", metavar="[DIR]", default="runs")
@click.option(
    "--sort",
    metavar="KEY",
    default="-when",
    show_default=True,
    help="Sort by a key, in ascending order, or in descending order with - before it.",
)
@click.option("--reverse", is_flag=True, help="Reverse the order.")
@click.option(
    "--filter",
    "filters",
    metavar="EXPR",
    multiple=True,
    help="List the runs with this property only: KEY=VALUE or !=, KEY~TEXT (contains) or !~, or a number or "
    "date after >, >=, < or <=. May be given several times.",
)
@click.option(
    "--columns",
    metavar="KEYS",
    help="Keys of the columns, with commas between them.  [default: all that fit]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def runs(
    folder: str, sort: str, reverse: bool, filters: tuple[str, ...], columns: str | None, as_json: bool
) -> None:
    """List the runs in a folder.

    DIR is searched with the folders in it (default: runs). Keys are the headings of the table, `epochs`,
    `examples_per_second` and `folder`, the name of a metric for its best value, `test.accuracy` and the like
    for the final state, and `layout.data` and the like. A question mark stands for what cannot be read.
    """
    with errors_in_one_line():
        from daskpar.cli.run_table import as_records, chosen_columns, existing, run_table
        from daskpar.report.run_filter import Filter, ordered, select
        from daskpar.report.runs import find_runs

        conditions = [Filter.parse(text) for text in filters]
        found = find_runs(existing(folder))
        keys = chosen_columns(columns, found)
        shown = ordered(select(found, conditions), sort, reverse)
        if as_json:
            echo(as_records(shown, keys))
        elif not found:
            out.print(f"{folder}: no runs; `daskpar train CONFIG` writes one, and `Trainer(..., folder=...)`")
        elif not shown:
            out.print(f"{folder}: none of {len(found):,} runs passes --filter {' --filter '.join(filters)}")
        else:
            echo(run_table(shown, keys, out.width if out.is_terminal else None))
            if out.is_terminal:
                count = f"{len(shown):,} of {len(found):,}" if len(shown) < len(found) else f"{len(found):,}"
                out.print(f"{count} run{'' if len(found) == 1 else 's'}", style="dim")
