"""The layouts that are compared for a number of workers."""

from __future__ import annotations

from daskpar.layout.layout import Layout


def candidates(workers: int) -> list[Layout]:
    """Return layouts that compute the same as one worker, and have a slot for each of `workers`.

    Replicas and stale or asynchronous updates change the computation, so they are never chosen automatically.
    """
    layouts = [Layout(), Layout(grain="window")]
    if workers > 1:
        layouts += [Layout(data=workers), Layout(data=workers, grain="window")]
        layouts += [Layout(data=workers, shards=workers)]
    for cut in range(2, workers + 1):
        lanes, rest = divmod(workers, cut)
        if rest == 0:
            layouts += [
                Layout(data=lanes, stages=cut, microbatches=2 * cut),
                Layout(data=lanes, width=cut),
                Layout(data=lanes, sequence=cut),
                Layout(data=lanes, tiles=cut),
            ]
    return layouts


def format_layout(layout: Layout) -> str:
    """Return the fields of a layout that differ from the default, as in a config.

    Example:
        >>> from daskpar import Layout
        >>> format_layout(Layout(data=2, grain="window"))
        '{data: 2, grain: window}'
    """
    default = vars(Layout())
    changed = {name: value for name, value in vars(layout).items() if value != default[name]}
    if layout.lanes is not None:
        changed.pop("data", None)
    return (
        "{" + ", ".join(f"{name}: {_yaml(value)}" for name, value in (changed or {"data": 1}).items()) + "}"
    )


def _yaml(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple) else str(value)
