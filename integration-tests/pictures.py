"""Make the pictures of the docs, with a real browser and a real terminal: `sudo make pictures`.

A machine of the test harness runs the hub. Chromium is driven through the pages that a user and an
admin see; commands run in a terminal of the machine, and rich draws what they printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, expect
from rich.console import Console
from rich.text import Text

from browser import page_of
from machine import Machine
from machine.image import CHECKOUT, DEFAULT_RELEASE
from machine.install import channel_mount, installed_image
from session import claim_path

IMAGES = CHECKOUT / "docs" / "images"
PASSWORD = "correct-horse-7"
PAGES = ("claim", "login", "start", "lab", "admin")
COMMANDS = {
    "plan": "tljh-config plan",
    "status": "tljh status",
    "doctor": "tljh doctor",
}
expect.set_options(timeout=60_000)
COLUMNS = 96
PAGE_SIZE = {"width": 1000, "height": 560}
NAME = "hub.example.org"
SETTINGS = {
    "users.allowed": "[ann, bob, carl]",
    "limits.memory": "1G",
    "https.mode": "internal",
    "https.enabled": "true",
    "https.domains": f"[{NAME}]",
}

# rich's own format loads a font from the network.
SVG_FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px monospace; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@contextmanager
def hub() -> Iterator[tuple[Machine, Path]]:
    """Boot a machine with the hub of a class; yield it and the certificate of its authority."""
    image, channel = installed_image(DEFAULT_RELEASE)
    with (
        Machine.boot(image, options=channel_mount(channel)) as machine,
        TemporaryDirectory() as directory,
    ):
        for key, value in SETTINGS.items():
            machine.run(["tljh-config", "set", key, value])
        machine.run("tljh-config reload", timeout_s=300)
        authority = Path(directory) / "ca.crt"
        machine.copy_out("/opt/tljh/state/internal-ca/ca.crt", authority)
        yield machine, authority


def photograph(page: Page, name: str) -> None:
    """Save what the browser shows, without a blinking cursor."""
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled", caret="hide")


def take_pages(machine: Machine, authority: Path) -> None:
    """Go through the pages from the claim link to the admin page."""
    names = {NAME: machine.address()}
    with page_of(f"https://{NAME}", trusts=authority, names=names) as page:
        page.set_viewport_size(PAGE_SIZE)
        page.goto(claim_path(machine, "admin"))
        expect(page.get_by_role("heading", name="Welcome, admin")).to_be_visible()
        photograph(page, "claim")
        page.locator("#password").fill(PASSWORD)
        page.locator("#again").fill(PASSWORD)
        page.locator("[type=submit]").click()
        page.locator("#password_input").fill(PASSWORD)
        photograph(page, "login")
        page.locator("#login_submit").click()
        page.wait_for_url("**/spawn-pending/**")
        expect(page.locator("#progress-bar")).to_be_visible()
        photograph(page, "start")
        page.wait_for_url("**/user/admin/lab**")
        # JupyterLab asks a new user whether it may fetch news.
        page.get_by_role("button", name="No", exact=True).click()
        expect(page.get_by_text("Python 3 (ipykernel)").first).to_be_visible()
        expect(page.get_by_text("Jupyter news")).to_be_hidden()
        page.wait_for_load_state("networkidle")
        photograph(page, "lab")
        page.goto("/hub/admin")
        expect(page.get_by_test_id("user-name-div-carl")).to_be_visible()
        photograph(page, "admin")


def take_commands(machine: Machine) -> None:
    """Run commands in a terminal, and draw what it shows."""
    machine.run("tljh-config set limits.memory 2G && tljh-config add-item users.allowed dora")
    draw(machine, "plan")
    machine.run("tljh-config reload")
    draw(machine, "status")
    # Something for doctor to report.
    machine.run("chmod 0755 /opt/tljh/state")
    draw(machine, "doctor")


def draw(machine: Machine, name: str) -> None:
    """Save a command and its output as a terminal shows them."""
    command = COMMANDS[name]
    in_terminal = f"stty columns {COLUMNS} && {command}"
    output = machine.run(f"script -qec '{in_terminal}' /dev/null", check=False).stdout
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "dim"), (f"sudo {command}", "bold")))
    console.print(Text.from_ansi(output.replace("\r\n", "\n").rstrip() + "\n"))
    svg = console.export_svg(title=command, code_format=SVG_FORMAT, unique_id=f"tljh-{name}")
    (IMAGES / f"{name}.svg").write_text(re.sub(r"[ \t]+$", "", svg, flags=re.M))


def main() -> None:
    """Make every picture."""
    IMAGES.mkdir(exist_ok=True)
    with hub() as (machine, authority):
        take_pages(machine, authority)
        take_commands(machine)
    print(f"pictures are in {IMAGES}: look at each of them")


if __name__ == "__main__":
    main()
