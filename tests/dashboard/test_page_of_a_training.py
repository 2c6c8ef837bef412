"""The training page in Chromium while a training goes on, on worker processes that are killed."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from test_page_in_browser import chart, line

from daskpar import Callback, Trainer, open_client

if TYPE_CHECKING:
    from playwright.sync_api import Browser

X = np.random.default_rng(0).normal(size=(256, 8)).astype("float32")
Y = (X[:, 0] > 0).astype(int)


class UntilSeen(Callback):
    """Ends the training when the page has been looked at."""

    def __init__(self) -> None:
        self.seen = threading.Event()

    def after_evaluation(self, run: Any, record: Any) -> bool:
        return self.seen.is_set()


def test_a_training_is_followed_and_a_killed_worker_is_marked(browser: Browser) -> None:
    errors: list[str] = []
    with open_client("processes", workers=2, dashboard_port=0) as client:
        how: dict[str, Any] = {"client": client, "verbose": 0, "batch": 64, "layout": {"data": 2}}
        model = [{"dense": 8}, "relu", {"dense": 2}]
        Trainer(model, steps=3, **how).fit(X, Y)
        until = UntilSeen()
        trainer = Trainer(model, steps=100_000, evaluate_every="4 steps", callbacks=[until], **how)
        training = threading.Thread(target=trainer.fit, args=(X, Y))
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(30_000)
        page.on("console", lambda told: errors.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(client.dashboard_link)
        page.get_by_role("link", name="daskpar").click()
        page.get_by_role("heading", name="Curves").wait_for()
        training.start()
        try:
            page.locator("#runs .name").nth(1).wait_for()  # two runs, the newer first
            names = page.locator("#runs .name").all_inner_texts()
            assert len(set(names)) == 2 and page.locator("h1:visible").inner_text() == names[0]
            chart(page, "loss").wait_for()
            before = line(page, "loss", "steps")
            page.wait_for_function(
                "before => document.querySelector('figure g path.curve.steps').getAttribute('d') !== before",
                arg=before,
            )
            os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
            page.locator("#mark-table").get_by_text("worker lost").first.wait_for()
            chart(page, "loss").locator('line[data-kind="worker lost"]').first.wait_for(state="attached")
        finally:
            until.seen.set()
            training.join()
        page.locator("h1:visible + .chip, h1:visible ~ span .chip").get_by_text("stopped").wait_for()
        page.close()
    assert errors == []
