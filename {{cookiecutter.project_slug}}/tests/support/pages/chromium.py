"""Chromium, headless, for what only a real browser shows; and what it was seen to do."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, ViewportSize, async_playwright, expect

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

PHONE = ViewportSize(width=360, height=740)
DESKTOP = ViewportSize(width=1280, height=800)

# As long as all else that Playwright waits for: on a busy machine Swagger UI took more than the 5 seconds of `expect`.
expect.set_options(timeout=30_000)

# It is to speak to the service alone, and to nobody who made it.
_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
_GRAVE = ("serious", "critical")
# Only what is needed goes through the protocol: all that axe-core returns costs more than axe-core.
_FIND = """async ([grave, selectors]) => {
    const options = {resultTypes: ["violations"], elementRef: true};
    const found = (await axe.run(document, options)).violations.filter(one => grave.includes(one.impact));
    return found.flatMap(({id, nodes}) => nodes.map(
        ({html, element}) => [id, html, selectors.filter(selector => element.matches(selector))]));
}"""


@pytest.fixture(scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    """The browser, one for the whole run or for each worker of it."""
    async with launched(chromium_path) as browser:
        yield browser


@asynccontextmanager
async def launched(path: str, *flags: str, without: Sequence[str] = ()) -> AsyncIterator[Browser]:
    """Start the browser at `path` with more flags, and without some of those that Playwright gives it."""
    async with async_playwright() as playwright:
        # Its sandbox does not work for root.
        root = hasattr(os, "geteuid") and os.geteuid() == 0
        browser = await playwright.chromium.launch(
            executable_path=path, args=[*_FLAGS, *flags], chromium_sandbox=not root, ignore_default_args=without
        )
        yield browser
        await browser.close()


class Watch:
    """What a page did that no page of this service may do: `problems`, which a test takes note of and empties."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.problems: list[str] = []

    async def attach(self, page: Page) -> None:
        """Look at everything that happens on the page from now on."""

        def told(_: object, what: str) -> None:
            self.problems.append(f"content security policy: {what}")

        page.on("request", lambda request: self._asked(request.url))
        page.on("requestfailed", lambda request: self._failed(request.url, request.failure or ""))
        page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        page.on("console", lambda message: self._written(message.text))
        await page.expose_binding("tellViolation", told)
        await page.add_init_script(
            "document.addEventListener('securitypolicyviolation', event =>"
            " tellViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`))"
        )

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self._origin}/", "data:")):
            self.problems.append(f"another origin: {url}")

    def _failed(self, url: str, why: str) -> None:
        # What was still on its way when the test went on to the next page.
        if why != "net::ERR_ABORTED":
            self.problems.append(f"failed: {url} {why}")

    def _written(self, text: str) -> None:
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.problems.append(f"console: {text}")


@asynccontextmanager
async def visiting(browser: Browser, origin: str, **options: Any) -> AsyncIterator[tuple[Page, Watch]]:
    """Open a page in a browser that knows nobody; in the end nothing may have happened that the watch calls a problem.

    `options` are Playwright's for a new context: `viewport`, `color_scheme`, `storage_state` (who is signed in).
    """
    # Axe measures contrast: nothing may be half faded in.
    given = {"base_url": origin, "viewport": DESKTOP, "reduced_motion": "reduce", **options}
    context = await browser.new_context(**given)
    try:
        page = await context.new_page()
        watch = Watch(origin)
        await watch.attach(page)
        yield page, watch
        assert not watch.problems, watch.problems
    finally:
        await context.close()


class Finding(NamedTuple):
    """An element that breaks a rule of axe-core; and of the selectors that were asked about, those that it matches."""

    rule: str
    html: str
    matches: tuple[str, ...] = ()


async def grave_findings(page: Page, selectors: Sequence[str] = ()) -> list[Finding]:
    """What axe-core finds on the page that keeps people from using it (impact serious or critical).

    It is run by the browser's own protocol: the content security policy of the page stays in force.
    """
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(Axe().axe_script)
    found = await page.evaluate(_FIND, [_GRAVE, selectors])
    return [Finding(rule, html, tuple(matches)) for rule, html, matches in found]


async def flaws(page: Page) -> list[str]:
    """What is wrong with the page on a phone and on a desktop, in light and in dark colours.

    Nothing may hinder anybody, headings are in order, and no page is wider than its window. It is one page throughout:
    only its look changes.
    """
    found: list[str] = []
    for viewport in (DESKTOP, PHONE):
        await page.set_viewport_size(viewport)
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            found += [f"{scheme}, {viewport['width']}: {finding}" for finding in await grave_findings(page)]
        found += await _overflow(page)
    levels = await page.eval_on_selector_all("h1, h2, h3, h4", "found => found.map(one => Number(one.tagName[1]))")
    in_order = levels[:1] == [1] and levels.count(1) == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    return found if in_order else [*found, f"headings: {levels}"]


async def _overflow(page: Page) -> list[str]:
    """How much wider the page is than its window; nothing where it is not."""
    root = page.locator("html")
    scroll, window = await root.evaluate("root => [root.scrollWidth, root.clientWidth]")
    return [f"{scroll} pixels in a window of {window}"] if scroll > window else []
