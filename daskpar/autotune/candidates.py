"""The layouts that are worth a thought for so many workers."""

from __future__ import annotations

from daskpar.layout.layout import Layout


def candidates(workers: int) -> list[Layout]:
    """Layouts that compute what one worker alone does, and have a place of work for each of `workers`.

    Averages and late updates compute something else, and are for a person to choose.
    """
    found = [Layout(), Layout(grain="window")]
    if workers > 1:
        found += [Layout(data=workers), Layout(data=workers, grain="window")]
        found += [Layout(data=workers, shards=workers)]
    for cut in range(2, workers + 1):
        lanes, rest = divmod(workers, cut)
        if rest == 0:
            found += [
                Layout(data=lanes, stages=cut, microbatches=2 * cut),
                Layout(data=lanes, width=cut),
                Layout(data=lanes, sequence=cut),
                Layout(data=lanes, tiles=cut),
            ]
    return found


def format_layout(layout: Layout) -> str:
    """The fields of a layout that are not the default, as one writes them in a config."""
    default = vars(Layout())
    given = {name: value for name, value in vars(layout).items() if value != default[name]}
    if layout.lanes is not None:
        given.pop("data", None)
    return "{" + ", ".join(f"{name}: {_yaml(value)}" for name, value in (given or {"data": 1}).items()) + "}"


def _yaml(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
