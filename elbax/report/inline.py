"""A run as the last line of a notebook's cell: a card of its numbers and pictures, in one piece."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from elbax.figures import FIGURES
from elbax.report.page import cell, data_rows, escaped, number_rows, table
from elbax.run import folder
from elbax.run.run import Run

PICTURES = ("reconstruct", "generated", "top_infer", "train_process")
"""Those of `FIGURES` that a card shows, where the run's folder has them."""
WIDTH = 560
"""Of a picture, in pixels: a notebook keeps what its cells show."""
_MOST_BYTES, _MOST_PIXELS = 20_000_000, 30_000_000
_UNREADABLE = (
    OSError,  # of a file, and of what is no picture or is cut short
    SyntaxError,  # of Pillow, for a damaged block of a PNG
    ValueError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)

# The colours are those of the page around it, so that the card is dark where the notebook is.
_STYLE = """
.elbax-run { color: inherit; border: 1px solid #8886; border-radius: .6rem; padding: .8rem 1rem;
  max-width: 62rem; font-size: 14px; line-height: 1.5; }
.elbax-run p { margin: 0 0 .5rem; overflow-wrap: anywhere; }
.elbax-run .soft { opacity: .75; }
.elbax-run table { border-collapse: collapse; margin: 0 0 .8rem; color: inherit; }
.elbax-run th, .elbax-run td { text-align: left; padding: .15rem 1.2rem .15rem 0;
  background: none; border: 0; font-variant-numeric: tabular-nums; }
.elbax-run .pictures { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.elbax-run figure { margin: 0; }
.elbax-run img { display: block; width: 100%; height: auto; background: #fff;
  border-radius: .4rem; }
"""


def card(run: Run) -> str | None:
    """The run as HTML that loads and runs nothing; None where its folder holds no run.

    Args:
        run: Finished or not; its pictures are those of its folder, and none is drawn for it.
    """
    try:
        config = run.config
    except ValueError:
        return None
    results = run.results
    latents, data = config["model"]["latent_dim"], data_rows(config["data"])
    words = f"{config['recipe']} with {latents} latents on {data['name']}"
    parts = [
        f"<p><b>{escaped(run.name)}</b> {escaped(words)}</p>",
        f'<p class="soft">{escaped(data["kind"])}; {escaped(data["rows"])}</p>',
    ]
    if results is None:
        parts.append(f"<p>not finished: <code>{escaped(run.resume_command)}</code></p>")
    else:
        cells = [
            (escaped(name), cell(test), cell(train))
            for name, test, train, _ in number_rows(run, results)
        ]
        parts += [
            table("numbers", cells, ("", "test", "training")),
            '<p class="soft">Nats per datum; after ± stands one standard error over the rows.</p>',
        ]
    shown = "".join(_pictures(run))
    if shown:
        parts.append(f'<div class="pictures">{shown}</div>')
    return f'<div class="elbax-run"><style>{_STYLE}</style>{"".join(parts)}</div>'


def _pictures(run: Run) -> Iterator[str]:
    for name in PICTURES:
        png = _small(run / folder.FIGURES / f"{name}.png")
        if png is not None:
            title, source = escaped(FIGURES[name].title), base64.b64encode(png).decode()
            yield (
                f'<figure><img alt="{title}" src="data:image/png;base64,{source}">'
                f'<figcaption class="soft">{title}</figcaption></figure>'
            )


def _small(path: Path) -> bytes | None:
    """The picture no wider than `WIDTH`; None where there is none that can be read."""
    try:
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if path.stat().st_size > _MOST_BYTES:
                return None
            with Image.open(file, formats=["PNG"]) as picture:
                if picture.width * picture.height > _MOST_PIXELS:
                    return None
                small = picture.convert("RGB")
    except _UNREADABLE:
        return None
    small.thumbnail((WIDTH, 4 * WIDTH))
    buffer = io.BytesIO()
    small.save(buffer, "png", optimize=True)
    return buffer.getvalue()
