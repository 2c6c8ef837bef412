"""The training page on the dashboard of a Dask scheduler.

A training registers it by itself. For a scheduler whose page should be there before the first training:

    dask scheduler --preload daskpar.dashboard
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Scheduler


async def dask_setup(scheduler: Scheduler) -> None:
    """Add the page to a scheduler that is started with `--preload daskpar.dashboard`."""
    from daskpar.dashboard.plugin import TrainingPage

    page = TrainingPage()
    await page.start(scheduler)
    scheduler.add_plugin(page, idempotent=True, name=page.name)
