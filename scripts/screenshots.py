"""`make screenshots`: render the default project, serve it, and take the pictures of `docs/images`.

It needs Chromium on PATH. Playwright and Pillow come with the command, for this run alone.
"""

import io
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))

from scripts.demo import (
    EMAIL,
    HOST,
    PASSWORD_BYTES,
    ROOT,
    DemoError,
    find_uv,
    make_room,
    prepare,
    project_environment,
    render,
    require_free_port,
    stop,
    wait_until_ready,
)

FOLDER = ROOT / "build" / "screenshots"
IMAGES = ROOT / "docs" / "images"
PORT = 8765
COLOURS = 112
LARGEST = 60_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

DESKTOP = ViewportSize(width=1000, height=620)
PHONE = ViewportSize(width=360, height=700)
DEVICES = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
)
PEOPLE = (("ada@example.com", "Ada Example"), ("grace@example.com", "Grace Sample"), ("lin@example.com", "Lin Muster"))
SECRETS = ("Key of the print shop", "Wi-Fi at the office")


def sign_in(page: Page, password: str) -> None:
    """Sign in as the administrator."""
    page.goto("/login")
    page.get_by_label("E-mail address").fill(EMAIL)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/account")


def fill(page: Page) -> None:
    """Do what leaves something to be seen: invite people, and keep secrets."""
    for email, name in PEOPLE:
        page.goto("/admin/users/invite")
        page.get_by_role("textbox", name="E-mail address").fill(email)
        page.get_by_role("button", name="Invite").click()
        page.get_by_label(re.compile("What people see")).fill(name)
        page.get_by_role("button", name="Save").click()
    for name in SECRETS:
        page.goto("/account/vault/new")
        page.get_by_label("Name").fill(name)
        page.get_by_label("Secret", exact=True).fill(secrets.token_urlsafe())
        page.get_by_role("button", name="Keep it").click()


def take(page: Page, path: str, name: str) -> None:
    """Take a picture of a page, small enough to lie in a repository."""
    page.goto(path)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    file = IMAGES / f"{name}.png"
    picture.save(file, optimize=True)
    size = file.stat().st_size
    if size > LARGEST:
        raise DemoError(f"{file} has {size} bytes; at most {LARGEST} are wanted")
    print(f"{file.relative_to(ROOT)}: {size} bytes", flush=True)


def take_all(browser: Browser, url: str, password: str) -> None:
    """Sign in with several devices, and take every picture."""
    for device in DEVICES:
        sign_in(browser.new_context(base_url=url, user_agent=device).new_page(), password)
    page = browser.new_context(base_url=url, viewport=DESKTOP).new_page()
    take(page, "/", "start")
    sign_in(page, password)
    fill(page)
    take(page, "/account/sessions", "sessions")
    dark = page.context.storage_state()
    page = browser.new_context(base_url=url, viewport=DESKTOP, color_scheme="dark", storage_state=dark).new_page()
    take(page, "/admin/audit", "audit-trail")
    page = browser.new_context(base_url=url, viewport=PHONE, storage_state=dark).new_page()
    take(page, "/account/vault", "vault-on-a-phone")


@contextmanager
def served(password: str) -> Iterator[str]:
    """Render and serve the default project: its address."""
    uv, environment = find_uv(os.environ), project_environment(os.environ, PORT)
    require_free_port(PORT)
    make_room(FOLDER)
    project = render(FOLDER)
    prepare(uv, project, environment, password)
    url = f"http://{HOST}:{PORT}"
    command = [uv, "run", "--no-sync", "manage", "serve", "--port", str(PORT)]
    with (FOLDER / "server.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until_ready(server, url)
            yield url
        finally:
            stop(server)


def main() -> int:
    """Take the pictures; 1 where something was in the way."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        print(f"make screenshots: none of {', '.join(BROWSERS)} is on PATH.", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # its sandbox does not work for root
    try:
        with served(password) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, chromium_sandbox=not root)
            take_all(browser, url, password)
            browser.close()
    except (DemoError, OSError) as error:
        print(f"make screenshots: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
