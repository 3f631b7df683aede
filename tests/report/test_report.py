import base64
import math
import re
from html.parser import HTMLParser

import pytest

from elbax.report import illustrate
from elbax.report.page import DEFINITIONS, SOON, page, write_report
from elbax.report.verdict import validation_trend, verdict
from elbax.run.run import Run
from elbax.util.files import WriteError

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
VOID = {"meta", "img", "br", "hr"}


def bound(elbo=-104.21, error: float | None = 0.31):
    return {
        "elbo": elbo,
        "reconstruction": elbo + 19.3,
        "kl": 19.3,
        "standard_error": {"elbo": error, "reconstruction": error, "kl": 0.054},
    }


LOSSES = [120.0, 110.0, 107.0, 105.5, 104.5]


def run(*, losses=LOSSES, kind="images", likelihood="bernoulli", latents=10, **results):
    """A run of MNIST's shape, in memory, with these numbers in the place of its own."""
    config = {
        "recipe": "vae",
        "created": "2026-01-01",
        "command": "elbax train mnist",
        "model": {"latent_dim": latents, "hidden": [512, 384]},
        "training": {"batch_size": 100},
        "data": {
            "name": "mnist",
            "kind": kind,
            "source": "LeCun",
            "shape": [28, 28, 1],
            "dtype": "uint8",
            "scale": 1 / 255,
            "binarize": "none",
            "rows": {"train": 55_000, "validation": 5000, "test": 10_000},
            "splits": "first 55,000 …",
            "fingerprint": "ab",
        },
        "likelihood": {"name": likelihood, "reason": "grey levels"},
        "iterations": 10_000,
        "parameters": 1_500_000,
        "device": "cpu",
        "versions": {"elbax": "0.1.0"},
    }
    found = {
        "iterations": 10_000,
        "outcome": "finished",
        "test": bound(),
        "active_latents": 10,
        **results,
    }
    validation = {
        "step": [2000 * (i + 1) for i in range(len(losses))],
        "elbo": [-loss for loss in losses],
    }
    return Run("runs/m", config=config, results=found, history={"validation": validation})


class Strict(HTMLParser):
    """Checks that every element is closed in order, and collects what a browser would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.tags, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(html):
    parser = Strict()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


# --- the verdict


def test_a_good_run_that_could_go_on():
    assert verdict(run()) == (
        "The model explains a test image to within 104.2 ± 0.3 nats; 10 of 10 latents are active; "
        "validation was still improving at the end, so longer training would help."
    )


def test_a_run_that_levelled_off():
    said = verdict(run(losses=[120.0, 110.0, 104.6, 104.5, 104.5]))
    assert said.endswith("validation had levelled off by the end.")


def test_overfitting_is_said_with_its_step():
    losses = [120.0, 104.0, 105.0, 106.0, 107.0]
    said = verdict(run(losses=losses))
    assert "validation got worse after step 4,000: the model overfits" in said
    kept = verdict(run(losses=losses, model="best", outcome="stopped early"))
    assert "the parameters of that step are the ones kept" in kept


@pytest.mark.parametrize(
    ("latents", "words"), [(10, "none of the 10 latents is"), (1, "the only latent is not")]
)
def test_a_collapse_is_said(latents, words):
    said = verdict(run(active_latents=0, latents=latents))
    assert f"{words} active: the decoder ignores them" in said


@pytest.mark.parametrize(
    ("active", "latents", "words"),
    [(1, 10, "1 of 10 latents is active"), (1, 1, "the only latent is active")],
)
def test_few_active_latents(active, latents, words):
    assert words in verdict(run(active_latents=active, latents=latents))


def test_divergence_comes_first():
    said = verdict(
        run(outcome="diverged", message="the KL of step 812 is not finite.", iterations=800)
    )
    assert said.startswith(
        "Training diverged (the KL of step 812 is not finite), and this is the last good state, "
        "step 800 of 10,000; the model explains"
    )


def test_an_interruption_comes_first():
    said = verdict(run(outcome="interrupted", iterations=3000))
    assert said.startswith("The run was interrupted at step 3,000 of 10,000; ")


def test_without_test_rows_the_training_rows_are_named():
    said = verdict(run(test=None, train=bound(-99.0)))
    assert said.startswith("The model explains a training image to within 99.0 ± 0.3 nats")


def test_a_density_may_be_positive():
    said = verdict(run(test=bound(12.34, 0.0123), likelihood="normal", kind="vectors"))
    assert said.startswith("The log-density of a test row is at least 12.34 ± 0.01 nats on average")


@pytest.mark.parametrize("elbo", [math.nan, -math.inf, None])
def test_a_bound_that_is_no_number_is_not_praised(elbo):
    numbers = {**bound(), "elbo": elbo}
    assert "the bound on a test image is not a finite number" in verdict(
        run(test=numbers, outcome="interrupted")
    )


def test_nothing_measured():
    said = verdict(run(test=None, active_latents=None, losses=[]))
    assert said.startswith("The bound on a training image was not measured; validation was")


def test_one_row_has_no_standard_error():
    assert "104.2 nats" in verdict(run(test=bound(error=math.nan)))
    assert "104.2 nats" in verdict(run(test=bound(error=None)))


@pytest.mark.parametrize(
    ("losses", "trend"),
    [
        ([], "unknown"),
        ([100.0], "unknown"),
        ([math.nan, 100.0], "unknown"),
        ([110.0, 100.0], "improving"),
        ([100.0, 110.0], "worse"),
        ([100.0, 100.0], "level"),
        ([110.0, 100.0, 100.1], "level"),  # a tenth of a nat of a hundred is noise
        ([0.5, 0.4, 0.3, 0.2, 0.1], "improving"),  # the floor of 0.05 nats
        ([-10.0, -12.0, -14.0], "improving"),
        ([-10.0, -14.0, -12.0], "worse"),
    ],
)
def test_the_trend_of_validation(losses, trend):
    assert validation_trend([1000 * (i + 1) for i in range(len(losses))], losses) == trend


# --- the page


def test_the_page_is_well_formed_and_loads_nothing():
    one = run()
    per_latent = {"step": [10_000], "value": [[2.0, 0.0, 1.5]]}
    logged = one.replace(history={**one.history, "kl_per_latent": per_latent})
    html = page(logged, {"generated": PNG, "normal": PNG})
    assert "KL by latent" in html
    parsed = parse(html)
    assert parsed.loads
    assert all(load.startswith("data:image/png;base64,") for load in parsed.loads)
    assert not {"script", "link", "iframe", "object", "a"} & set(parsed.tags)
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "url(" not in html
    assert "@import" not in html
    assert "prefers-color-scheme: dark" in html


def test_each_picture_is_embedded_whole_with_its_size_and_words():
    html = page(run(), {"generated": PNG})
    (load,) = parse(html).loads
    assert base64.b64decode(load.split(",")[1]) == PNG
    assert 'width="1" height="1"' in html
    assert "Latents drawn from the prior" in html


def test_hostile_names_stay_words():
    evil = "<script>alert('x')</script>\"&'><img src=http:evil onerror=alert(1)>"
    one = run(message=evil, outcome="diverged")
    config = {
        **one.config,
        "recipe": evil,
        "training": {evil: None},
        "command": evil,
        "versions": {evil: evil},
        "created": evil,
        "device": evil,
        "data": {**one.config["data"], "name": evil, "source": evil, "splits": evil},
    }
    one = Run(evil, config=config, results=one.results, history=one.history)
    html = page(one, {"normal": PNG}, {"top_label": evil, evil: evil})
    parsed = parse(html)
    assert "script" not in parsed.tags
    assert parsed.tags.count("img") == 1
    assert all(load.startswith("data:") for load in parsed.loads)
    assert evil in "".join(parsed.text)  # shown as it is, not lost


def test_every_number_has_its_definition():
    codes = {"codes": 8, "chosen": 20, "used": [5], "perplexity": [3.2]}
    shown = run(train=bound(), codes=codes, ms_per_step=3.8, seconds=40.0, compile_seconds=2.0)
    text = " ".join("".join(parse(page(shown, {})).text).split())
    for words in DEFINITIONS.values():
        assert words in text
    assert "one standard error over the rows" in text
    assert "−104.2 ± 0.3" in text
    assert "19.30 ± 0.05" in text


def test_grey_pixels_are_explained_only_where_there_are_any():
    words, one = "It is not a density of the grey image", run()
    assert words in page(one, {})
    data = {**one.config["data"], "binarize": "dynamic"}
    assert words not in page(one.replace(config={**one.config, "data": data}), {})
    assert words not in page(run(likelihood="normal"), {})


def test_a_figure_left_out_is_named_with_its_reason():
    html = page(run(), {}, {"top_label": "top_label needs labels: 'x' has none"})
    text = "".join(parse(html).text)
    assert "The latent space, labelled: left out. Top_label needs labels: 'x' has none." in text


def test_the_numbers_are_there_before_the_first_picture_is(tmp_path, monkeypatch):
    seen = []

    def render(_run, figures, doing):
        assert figures.is_dir()
        seen.append((tmp_path / "report.html").read_text(encoding="utf-8"))
        doing("drawing normal")
        return {"normal": PNG}, {}

    monkeypatch.setattr(illustrate, "render_all", render)
    monkeypatch.setattr(illustrate, "beside_report", lambda _run: "the model has a step 'sort'")
    made = Run(tmp_path, **run()._known)
    illustrate.illustrate(made, seen.append)
    early, *said = seen
    assert SOON in early
    assert early == page(made, None)
    assert said == ["drawing normal", "writing the explorer"]
    late = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert SOON not in late
    words = "The explorer: left out. The model has a step 'sort'."
    assert words in "".join(parse(late).text)
    assert "explorer.html" not in late


def test_the_explorer_beside_it_is_its_one_link():
    assert parse(page(run(), {})).loads == []
    assert parse(page(run(), {}, explorer=True)).loads == ["explorer.html"]


def test_the_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.html"
    write_report(path, run(), {"normal": PNG})
    assert path.read_text(encoding="utf-8") == page(run(), {"normal": PNG})
    with pytest.raises(WriteError):
        write_report(tmp_path / "missing" / "report.html", run(), {})
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_run_that_stopped_early_says_what_was_kept_and_how_to_resume():
    stopped = run(
        losses=[130.0, 140.0],
        iterations=4000,
        outcome="stopped early",
        model="best",
        best={"step": 2000, "validation_loss": 130.0},
    )
    assert "the parameters of that step are the ones kept" in verdict(stopped)
    text = "".join(parse(page(stopped, {})).text)
    assert "resume runs/m" in text
    assert "512, 384" in text
    assert "55,000 training, 5,000 validation, 10,000 test" in text
    assert "best parameters by validation, step 2,000" in text
