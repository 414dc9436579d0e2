"""The page in headless Chromium: nothing is loaded, and nothing is wider than the screen."""

import html
import json
import re
import shutil
import subprocess

import pytest

from keras_bottleneck.reporting import write_report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

# Runs beside the page, which is in a frame as wide as a screen.
PROBE = """
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, width = frame.contentWindow.innerWidth;
  const wide = [...page.querySelectorAll("body *")].filter(
    (one) => !one.closest(".scroll *, svg *") && one.getBoundingClientRect().right > width + 1);
  const pictures = [...page.querySelectorAll("img")];
  document.title = JSON.stringify({
    width,
    scrolls: page.documentElement.scrollWidth > width,
    wide: wide.map((one) => one.outerHTML.slice(0, 80)),
    loaded: frame.contentWindow.performance.getEntriesByType("resource").map((one) => one.name),
    drawings: [...page.querySelectorAll("svg")].map((one) => one.getBoundingClientRect().width),
    pictures: pictures.map((one) => one.naturalWidth),
    ink: frame.contentWindow.getComputedStyle(page.body).color,
    line: frame.contentWindow.getComputedStyle(page.querySelector("svg text")).fill,
  });
});
"""


def opened(path, width, folder, *flags):
    """What the probe sees of the page at `path` on a screen of `width` pixels."""
    text = html.escape(path.read_text())
    frame = f'<iframe srcdoc="{text}" style="width:{width}px;height:900px;border:0"></iframe>'
    outer = f"<!doctype html><title></title><body>{frame}<script>{PROBE}</script></body>"
    (folder / "probe.html").write_text(outer)
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=20000",
        *flags,
        "--dump-dom",
        f"file://{folder / 'probe.html'}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    (title,) = re.findall(r"<title>(\{.*?\})</title>", done.stdout)
    return json.loads(html.unescape(title))


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_fits_and_loads_nothing(width, run, images, tmp_path):
    seen = opened(write_report(run, data=images), width, tmp_path)
    assert seen["width"] == width
    assert seen["wide"] == []
    assert not seen["scrolls"]
    assert seen["loaded"] == []
    assert len(seen["drawings"]) == 5 and min(seen["drawings"]) > 200
    assert len(seen["pictures"]) == 12 and min(seen["pictures"]) > 50


def test_a_request_of_a_page_would_be_seen(run, tmp_path):
    path = write_report(run)
    text = path.read_text()
    policy = re.search(r'<meta http-equiv="Content-Security-Policy"[^>]*>', text)[0]
    path.write_text(
        text.replace(policy, "").replace("</h1>", '</h1><img src="http://127.0.0.1:9/">')
    )
    assert opened(path, 360, tmp_path)["loaded"] == ["http://127.0.0.1:9/"]


def test_text_in_drawings_has_the_colour_of_the_page(run, tmp_path):
    path = write_report(run)
    light = opened(path, 360, tmp_path, "--blink-settings=preferredColorScheme=1")
    dark = opened(path, 360, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert light["ink"] != dark["ink"]
    for seen in (light, dark):
        assert seen["line"] == seen["ink"]
