"""The training page in Chromium, against a made-up scheduler whose runs the tests move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import TYPE_CHECKING

from fake_scheduler import FakeRun, FakeScheduler, example_runs, mark

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

FITS = """[...document.querySelectorAll('figure > svg')].every(
    (svg) => svg.viewBox.baseVal.width === svg.clientWidth)"""
HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "'\"><b>&amp;", "__proto__")


@contextmanager
def opened(browser: Browser, runs: list[FakeRun]) -> Iterator[tuple[Page, FakeScheduler]]:
    """Open the page of runs; at the end the console may have no error, also of what was blocked."""
    errors: list[str] = []
    with (
        FakeScheduler(runs, prefix="/proxy/8787") as scheduler,
        browser.new_context(viewport={"width": 1600, "height": 900}) as context,
    ):
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("dialog", lambda dialog: (errors.append("a dialog"), dialog.dismiss()))
        page.goto(scheduler.url)
        yield page, scheduler
    if not scheduler.broken:
        assert errors == []


def poll(page: Page) -> None:
    """Let the page ask now instead of within a second."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def chart(page: Page, name: str) -> Locator:
    """Return the chart of a name."""
    return page.locator("figure").filter(has=page.locator(f'svg[role=img][aria-label^="{name}:"]'))


def line(page: Page, name: str, kind: str) -> str:
    """Return the path of a curve."""
    return chart(page, name).locator(f"g path.curve.{kind}").first.get_attribute("d") or ""


def test_everything_of_a_run_is_there(browser: Browser) -> None:
    with opened(browser, example_runs()) as (page, _):
        page.locator("figure").first.wait_for()
        titles = [text.strip() for text in page.locator("figcaption b").all_inner_texts()]
        assert titles == ["loss", "accuracy", "learning rate", "examples per second", "gradient norm"]
        for title in ("Curves", "Layout", "Last steps", "Layers", "Settings", "Marks", "Workers"):
            assert page.get_by_role("heading", name=title, exact=True).is_visible(), title
        names, values = (page.locator(f"#headline {tag}").all_inner_texts() for tag in ("dt", "b"))
        headline = dict(zip(names, values, strict=True))
        assert headline["step"] == "420" and headline["epoch"] == "5.00"
        assert headline["examples per second"] == "34,568" and headline["validation accuracy"] == "0.8026"
        assert page.locator(".box").count() == 3 * 2 * 2
        assert page.locator("#facts").get_by_text("1,234,567", exact=True).is_visible()
        assert page.locator("#strip path.bar-of").count() >= 5
        assert "78 %" in (page.locator("#strip").text_content() or "")
        links = page.locator("#pages a").evaluate_all("all => all.map((a) => a.getAttribute('href'))")
        assert links[0] == "status" and links[-1] == "daskpar"


def test_curves_move_and_only_new_points_are_asked_for(browser: Browser) -> None:
    run = FakeRun("a1", "digits", step=120)
    with opened(browser, [run]) as (page, scheduler):
        page.locator("figure").first.wait_for()
        before = line(page, "loss", "steps")
        points = before.count("L")
        scheduler.advance(60)
        page.locator("#headline").get_by_text("180", exact=True).wait_for()  # by itself
        after = line(page, "loss", "steps")
        assert after.count("L") == points + 60 and after != before
        assert re.search(r"\?run=a1&since=\d+$", scheduler.requests[-1])
        run.marks.append(mark(run, 150, "worker lost", "worker 1 lost"))
        poll(page)
        chart(page, "loss").locator('line[data-kind="worker lost"]').wait_for(state="attached")
        assert page.locator("#mark-table").get_by_text("worker 1 lost").is_visible()


def test_names_are_text(browser: Browser) -> None:
    script, image, quotes, proto = HOSTILE
    run = FakeRun(
        "a1", script, metric=image, workers=(quotes, image), layers=HOSTILE, reason=script, folder=image
    )
    run.marks.append(mark(run, 100, quotes, script))
    runs = [run, FakeRun("b1", image, state="finished"), FakeRun("c1", proto, state="failed", reason=quotes)]
    with opened(browser, runs) as (page, _):
        page.locator("figure").first.wait_for()
        assert page.locator("h1:visible").inner_text() == script
        assert page.locator("#runs .name").all_inner_texts() == [script, image, proto]
        assert page.locator("#layer-table tbody b").all_inner_texts() == list(HOSTILE)
        assert chart(page, image.replace('"', '\\"')).count() == 1
        page.get_by_label(f"Compare {image}").check()
        page.locator("#runs .name").nth(2).click()
        page.locator(".reason").get_by_text(quotes).wait_for()
        assert page.locator("img:not([alt=Dask]), script:not([src])").count() == 0


def test_runs_are_told_apart(browser: Browser) -> None:
    runs = [
        FakeRun("b1", "same name", step=300, difficulty=1.6),
        FakeRun("a1", "same name", step=200, state="stopped"),
    ]
    with opened(browser, runs) as (page, _):
        page.locator("figure").first.wait_for()
        page.get_by_label("Compare same name").nth(1).check()
        loss = chart(page, "loss")
        loss.get_by_text("same name #1, train").wait_for()
        kinds = {path.get_attribute("class") for path in loss.locator("g > path.curve").all()}
        assert {
            "curve run1 line",
            "curve run0 line",
            "curve run1 validation",
            "curve run0 validation",
        } == kinds
        assert page.locator("#facts tr.differs th").first.inner_text() == "optimizer"
        page.locator("#runs .name").nth(1).click()
        page.locator("header .chip").get_by_text("stopped").wait_for()
        assert page.url.endswith("#run=a1")


def test_axes_and_smoothing(browser: Browser) -> None:
    with opened(browser, [FakeRun("a1", "digits", step=420)]) as (page, _):
        page.locator("figure").first.wait_for()
        linear = line(page, "loss", "train")
        chart(page, "loss").get_by_role("button", name="logarithmic axis of loss").click()
        logarithmic = line(page, "loss", "train")
        assert logarithmic != linear
        page.get_by_label("Smoothing of the curves").fill("0.95")
        assert line(page, "loss", "train") != logarithmic
        axis = chart(page, "loss").locator("text").filter(has_text=re.compile("^(step|epoch|time)$"))
        for name in ("epoch", "time", "step"):
            page.get_by_role("button", name=name, exact=True).click()
            assert axis.all_text_contents() == [name]
        box = chart(page, "loss").locator("svg[role=img]").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 300, box["y"] + 90)
        page.mouse.down()
        page.mouse.move(box["x"] + 500, box["y"] + 90, steps=3)
        page.mouse.up()
        assert chart(page, "accuracy").get_by_role("button", name="zoom out").is_visible(), "zooms are linked"
        chart(page, "accuracy").locator("svg[role=img]").dblclick()
        assert not chart(page, "loss").get_by_role("button", name="zoom out").is_visible()


def test_windows_and_schemes(browser: Browser) -> None:
    runs = example_runs()
    runs[0].name = "a-name-without-a-space-that-is-longer-than-a-narrow-window-" * 2
    backs = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 25, 31)"}
    with opened(browser, runs) as (page, _):
        page.locator("figure").first.wait_for()
        for scheme, width in product(backs, (1600, 800, 390)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 900})
            poll(page)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (scheme, width)
            page.wait_for_timeout(50)  # of a resize, browsers tell after the layout
            assert page.evaluate(FITS), "a chart is as wide as its box"
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == backs[scheme]


def test_keys_move_the_cross_hair_and_the_strip_can_be_held(browser: Browser) -> None:
    with opened(browser, [FakeRun("a1", "digits", step=420)]) as (page, scheduler):
        chart(page, "loss").locator("svg[role=img]").focus()
        page.keyboard.press("ArrowRight")
        assert chart(page, "loss").locator(".tip").is_visible()
        page.get_by_role("button", name="hold").click()
        before = page.locator("#strip").text_content()
        for is_held in (True, False):
            scheduler.advance(7)
            poll(page)
            page.locator("#headline").get_by_text(str(scheduler.runs[0].step), exact=True).wait_for()
            assert (page.locator("#strip").text_content() == before) is is_held
            page.get_by_role("button", name="hold").click()


def test_no_run_yet_then_one_begins(browser: Browser) -> None:
    with opened(browser, []) as (page, scheduler):
        page.get_by_role("heading", name="No training yet").wait_for()
        scheduler.runs.append(FakeRun("a1", "digits"))
        poll(page)
        page.get_by_role("heading", name="digits").wait_for()
        assert not page.locator("#empty").is_visible()


def test_a_scheduler_that_does_not_answer_is_named(browser: Browser) -> None:
    with opened(browser, [FakeRun("a1", "digits")]) as (page, scheduler):
        page.locator("figure").first.wait_for()
        scheduler.broken = True
        poll(page)
        page.get_by_text("The scheduler does not answer").wait_for()
        scheduler.broken = False
        scheduler.runs[:] = [FakeRun("b1", "another", step=90)]
        scheduler.version = 0  # another scheduler at the same address
        poll(page)
        page.get_by_role("heading", name="another").wait_for()
        assert not page.locator("#trouble").is_visible()
        scheduler.broken = True
