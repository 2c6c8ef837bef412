"""The training page on the dashboard of a Dask scheduler.

A training registers it by itself. For a scheduler whose page should be there before the first training:

    dask scheduler --preload daskpar.dashboard
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Scheduler


def page_link(dashboard_link: str) -> str:
    """Return the address of the training page, from that of the dashboard.

    Example:
        >>> page_link("http://127.0.0.1:8787/status")
        'http://127.0.0.1:8787/daskpar'
    """
    return dashboard_link.removesuffix("status") + "daskpar"


async def dask_setup(scheduler: Scheduler) -> None:
    """Add the page to a scheduler that is started with `--preload daskpar.dashboard`."""
    from daskpar.dashboard.plugin import TrainingPage

    page = TrainingPage()
    await page.start(scheduler)
    scheduler.add_plugin(page, idempotent=True, name=page.name)
