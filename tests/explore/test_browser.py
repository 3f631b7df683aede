"""The pages in a real browser: what hands do, and the numbers against Python's."""

import os

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from elbax.data import tables
from elbax.evaluate import decode, posterior_moments
from elbax.evaluate.imputation import impute
from elbax.evaluate.scores import score
from elbax.explore.explorer import explorer
from elbax.run.run import Run
from elbax.util.keys import of_seed
from tests import browser

pytestmark = pytest.mark.slow

# Whatever one can reach by the keyboard, and what a screen reader would call it.
_NAMELESS = """
() => [...document.querySelectorAll("input, select, button, canvas")]
  .filter((one) => !one.labels?.length && !one.getAttribute("aria-label"))
  .filter((one) => !one.textContent.trim())
  .map((one) => one.outerHTML)
"""
# The levels of a grey picture, a number a pixel.
_PIXELS = """
(id) => {
  const canvas = document.getElementById(id), [height, width] = elbax.facts.shape;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const zoom = canvas.width / width, pixels = Array.from({ length: height * width }, (_, i) => i);
  return pixels.map((i) =>
    data[4 * (Math.floor(i / width) * zoom * canvas.width + (i % width) * zoom)]);
}
"""


@pytest.fixture(scope="module")
def chromium():
    path = browser.path()
    assert path is not None, "there is no Chromium: run scripts/browser"
    sandbox = [] if hasattr(os, "getuid") and os.getuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(finished_run, table_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    explorer(Run(finished_run), folder / "images.html")
    explorer(Run(table_run), folder / "tables.html")
    return folder


@pytest.fixture
def opened(chromium, pages):
    """Opens a page; at the end nothing must have been complained of, nor anything loaded."""
    complaints, contexts = [], []

    def call(name, **how):
        contexts.append(chromium.new_context(**how))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda one: one.url.startswith("file:") or complaints.append(one.url))
        page.goto((pages / name).as_uri())
        page.wait_for_function("window.elbax && window.elbax.state")
        return page

    yield call
    for context in contexts:
        context.close()
    assert complaints == []


def settled(page):
    page.wait_for_function("document.body.getAttribute('aria-busy') === 'false'")


def latents(page):
    return np.array(page.evaluate("Array.from(elbax.z)"), np.float32)


def test_images_are_what_python_makes_of_the_latents(opened, finished_run):
    run, page = Run(finished_run), opened("images.html")
    row = page.evaluate("elbax.state.row")
    assert row == 0
    wanted = posterior_moments(run.model, run.dataset.test.x[:1])
    np.testing.assert_allclose(latents(page), wanted["mean"][0], atol=1e-3)
    page.get_by_role("button", name="draw from the prior").click()
    z = latents(page)
    made = np.array(page.evaluate("Array.from(elbax.run.decode({ z: elbax.z })[0])"))
    np.testing.assert_allclose(made, decode(run.model, z[None])[0].ravel(), atol=1e-3)
    # The picture on the screen is these numbers.
    shown = page.evaluate(_PIXELS, "decoded")
    np.testing.assert_allclose(np.array(shown) / 255, np.clip(made, 0, 1), atol=3 / 255)


def test_the_map_is_moved_by_keys_by_a_mouse_and_by_a_finger(opened):
    page = opened("images.html", has_touch=True, viewport={"width": 900, "height": 900})
    across, up = (int(page.locator(f"#{name}").input_value()) for name in ("across", "up"))
    page.get_by_role("button", name="zero").click()
    board = page.locator("#map")
    board.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    z = latents(page)
    np.testing.assert_allclose([z[across], z[up]], [0.2, -0.1], atol=1e-6)
    box = board.bounding_box()
    reach = page.evaluate(
        "Math.max(3, ...Array.from(elbax.arrays.means, (v) => Math.min(6, Math.abs(v) * 1.05)))"
    )

    def place(fraction_across, fraction_up):
        x, y = box["x"] + fraction_across * box["width"], box["y"] + fraction_up * box["height"]
        return x, y

    page.mouse.move(*place(0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*place(0.6, 0.4), steps=5)
    page.mouse.move(*place(0.75, 0.25), steps=5)
    page.mouse.up()
    z = latents(page)
    np.testing.assert_allclose([z[across], z[up]], [reach / 2, reach / 2], atol=reach / 100)
    page.touchscreen.tap(*place(0.02, 0.98))  # a corner without rows
    z = latents(page)
    np.testing.assert_allclose([z[across], z[up]], [-0.96 * reach] * 2, atol=reach / 50)
    # A click on a row's point takes the row, or another whose point lies upon it.
    means = np.array(page.evaluate("Array.from(elbax.arrays.means)")).reshape(-1, len(z))
    where = means[7][[across, up]] / reach / 2
    page.mouse.click(*place(0.5 + where[0], 0.5 - where[1]))
    taken = page.evaluate("elbax.state.row")
    near = np.abs(means[taken] - means[7])[[across, up]].max()
    assert taken >= 0
    assert near < reach / 20
    assert "posterior" in page.locator("#posterior").inner_text()
    np.testing.assert_allclose(latents(page), means[taken], atol=2e-3)  # of halves
    # Enter takes the row that is nearest to the latents.
    board.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("elbax.state.row") == taken


def test_a_slider_a_walk_and_a_drawing(opened, finished_run):
    run, page = Run(finished_run), opened("images.html")
    slider = page.get_by_label("latent 1,")
    slider.focus()
    before = latents(page)[1]
    page.keyboard.press("ArrowRight")
    assert latents(page)[1] == pytest.approx(before + 0.01, abs=0.006)
    page.evaluate("elbax.take(1); elbax.take(2)")
    page.get_by_role("button", name="walk").click()
    means = np.array(page.evaluate("Array.from(elbax.arrays.means)")).reshape(
        -1, len(latents(page))
    )
    page.wait_for_function(
        "(to) => to.every((v, j) => Math.abs(elbax.z[j] - v) < 1e-4)", arg=means[2].tolist()
    )
    pad = page.locator("#pad").bounding_box()
    page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] / 5)
    page.mouse.down()
    page.mouse.move(pad["x"] + pad["width"] / 2, pad["y"] + 4 * pad["height"] / 5, steps=8)
    page.mouse.up()
    assert page.locator("#what").inner_text() == "drawing"
    assert page.evaluate("elbax.state.row") == -1
    drawn = np.array(page.evaluate(_PIXELS, "pad")) / 255
    top = run.dataset.levels
    x = np.rint(drawn * top).astype(run.dataset.test.x.dtype).reshape(1, *run.dataset.shape)
    assert x.any()
    # The canvas rounds to bytes, so that a level may be the next one.
    wanted = posterior_moments(run.model, x)["mean"][0]
    np.testing.assert_allclose(latents(page), wanted, atol=0.2)


def test_a_table_says_what_impute_and_score_say(opened, table_run):
    run, page = Run(table_run), opened("tables.html")
    columns = run.dataset.columns
    settled(page)
    page.get_by_label("size", exact=True).fill("2.5")
    page.get_by_label("city", exact=True).select_option("Bern </script>")
    page.get_by_label("born", exact=True).fill("1981-02-03")
    for name in ("height", "weight", "smoker", "kids"):
        page.get_by_label(name, exact=True).focus()
        if name == "smoker":
            page.get_by_label(name, exact=True).select_option("")
        else:
            page.keyboard.press("ControlOrMeta+a")
            page.keyboard.press("Delete")
    settled(page)
    row = np.array(page.evaluate("Array.from(elbax.x, (v) => Number.isNaN(v) ? null : v)"), float)
    row = row[None].astype(np.float32)
    names = [column.name for column in columns]
    assert np.isnan(row[0, [names.index(n) for n in ("height", "weight", "smoker", "kids")]]).all()
    decoded = {name: cells[0] for name, cells in tables.decode(columns, row).to_pydict().items()}
    assert decoded["city"] == "Bern </script>"
    assert str(decoded["born"]) == "1981-02-03"
    assert decoded["size"] == pytest.approx(2.5)
    filled, scored = page.evaluate("[elbax.filled, elbax.scored]")
    wanted = impute(run.model, row, key=of_seed(0, "impute"), samples=200)
    scores = score(run.model, row, key=of_seed(0, "score"))
    np.testing.assert_allclose(filled["value"], wanted.value[0], atol=1e-3, rtol=1e-3)
    logp = scores.estimate.log_likelihood[0]
    assert scored["logP"] == pytest.approx(logp, abs=1e-3)
    assert f"{logp:.2f}".replace("-", "−") in page.locator("#total").inner_text()
    value = {n: c[0] for n, c in tables.decode(columns, wanted.value).to_pydict().items()}
    line = page.locator("tr", has=page.get_by_label("height", exact=True))
    said = line.locator(".said").inner_text()
    assert said.startswith(f"{value['height']:g} (90 %: ")
    smoker = page.locator("tr", has=page.get_by_label("smoker", exact=True)).locator(".said")
    assert smoker.inner_text().startswith(f"{value['smoker']} (")
    # What no cell can hold is said beside it, and counts as empty.
    page.get_by_label("height", exact=True).fill("tall")
    assert "no number" in line.inner_text()
    assert page.get_by_label("height", exact=True).get_attribute("aria-invalid") == "true"
    settled(page)
    # And back.
    page.get_by_role("button", name="as it was").click()
    settled(page)
    back = np.array(page.evaluate("Array.from(elbax.x, (v) => Number.isNaN(v) ? null : v)"), float)
    np.testing.assert_array_equal(back.astype(np.float32), run.dataset.test.x[0])


def test_rows_are_walked_through_and_cells_emptied_by_a_finger(opened, table_run):
    page = opened("tables.html", has_touch=True, viewport={"width": 360, "height": 800})
    x = Run(table_run).dataset.test.x
    settled(page)
    page.get_by_role("button", name="the next test row").tap()
    settled(page)
    assert page.evaluate("elbax.state.row") == 1
    whole = int(np.flatnonzero(~np.isnan(x[1]))[0])
    name = Run(table_run).dataset.columns[whole].name
    page.get_by_role("button", name=f"empty {name}", exact=True).tap()
    settled(page)
    assert page.get_by_label(name, exact=True).input_value() == ""
    page.get_by_role("button", name=f"restore {name}", exact=True).tap()
    settled(page)
    found = page.evaluate("elbax.x[arguments]".replace("arguments", str(whole)))
    assert found == pytest.approx(float(x[1, whole]))


@pytest.mark.parametrize("name", ["images.html", "tables.html"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_telephone_in_light_and_dark_and_all_of_it_has_names(
    opened, name, scheme, tmp_path
):
    page = opened(name, color_scheme=scheme, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(_NAMELESS) == []
    back, ink = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    red = lambda colour: int(colour.partition("(")[2].partition(",")[0])  # noqa: E731
    dark, light = sorted([red(back), red(ink)])
    assert dark < 60
    assert light > 200
    assert (red(back) == dark) == (scheme == "dark")
    page.screenshot(path=tmp_path / f"{scheme}-{name}.png", full_page=True)


def test_in_a_notebook_what_stands_in_the_page_is_the_widgets_state(opened, finished_run):
    page = opened("images.html")  # any page: a frame is put into it
    widget = Run(finished_run).explore()
    page.evaluate(
        """async ({ source, given }) => {
          const module = await import("data:text/javascript," + encodeURIComponent(source));
          window.kept = {};
          const model = { get: (name) => given[name], set: (name, v) => { kept[name] = v; },
                          save_changes: () => { kept.saved = true; } };
          const el = document.createElement("div");
          document.body.append(el);
          module.default.render({ model, el });
        }""",
        {"source": widget._esm, "given": {"page": widget.page, "height": widget.height}},
    )
    page.wait_for_function("kept.saved && kept.state.row === 0")
    page.frame_locator("iframe").get_by_role("button", name="zero").click()
    page.wait_for_function("kept.state.z.every((v) => v === 0)")
