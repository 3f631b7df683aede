"""A run as the last line of a notebook's cell."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import elbax
from elbax.report import inline
from elbax.run.run import Run
from elbax.util.words import plus_minus
from tests.report.test_report import bound, parse, run

COLOUR = (0, 114, 178)


def shown(run: Run) -> str:
    html = run._repr_html_()
    assert html is not None
    return html


def pictures(html: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    return [Image.open(io.BytesIO(base64.b64decode(words))) for words in found]


@pytest.fixture
def drawn(tmp_path):
    """A run whose folder holds one large picture of one colour, and one that is no picture."""
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (1200, 600), COLOUR).save(tmp_path / "figures" / "generated.png")
    (tmp_path / "figures" / "reconstruct.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    return run_in(tmp_path)


def run_in(path, **known) -> Run:
    other = run()
    known = {"config": other.config, "results": other.results, **known}
    return Run(path, **known)


def test_it_says_the_numbers_of_the_results_with_their_errors():
    text = " ".join(parse(shown(run(test=bound(-104.21, 0.31)))).text)
    for words in ("vae with 10 latents on mnist", "−104.2 ± 0.3", "19.30 ± 0.05", "10 of 10"):
        assert words in text
    assert "not finished" not in text


def test_it_loads_nothing_and_runs_nothing(drawn):
    page = parse(shown(drawn))
    assert all(address.startswith("data:image/png;base64,") for address in page.loads)
    assert "script" not in page.tags


def test_a_picture_is_there_and_small_and_a_damaged_one_is_left_out(drawn):
    (picture,) = pictures(shown(drawn))
    assert picture.size == (inline.WIDTH, inline.WIDTH // 2)
    assert picture.convert("RGB").getpixel((5, 5)) == COLOUR
    assert "New data from the prior" in shown(drawn)


def test_no_picture_is_read_that_would_take_too_much(drawn, monkeypatch):
    monkeypatch.setattr(inline, "_MOST_PIXELS", 1200 * 600 - 1)
    assert pictures(shown(drawn)) == []
    monkeypatch.undo()
    monkeypatch.setattr(inline, "_MOST_BYTES", 10)
    assert pictures(shown(drawn)) == []


def test_names_are_escaped(tmp_path):
    other = run()
    other.config["data"]["name"] = "<script>alert(1)</script>"
    html = shown(run_in(tmp_path / "<b>&", config=other.config))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<b>&lt;b&gt;&amp;</b>" in html


def test_a_run_that_is_not_done_says_how_it_goes_on(tmp_path):
    text = " ".join(parse(shown(run_in(tmp_path, results=None))).text)
    assert f"resume {tmp_path}" in text


def test_a_folder_that_is_no_run_shows_nothing(tmp_path):
    assert Run(tmp_path)._repr_html_() is None


def test_a_trained_run_shows_what_it_measured(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    run = elbax.train(
        x, out=tmp_path / "run", hidden=(8,), latent_dim=2, iterations=20, batch_size=10,
        verbose=False,
    )  # fmt: skip
    assert run.results is not None
    bounds = run.results["test"]
    assert plus_minus(bounds["elbo"], bounds["standard_error"]["elbo"]) in shown(run)
    assert "How it learned" in shown(run)
    assert len(pictures(shown(run))) >= 2
