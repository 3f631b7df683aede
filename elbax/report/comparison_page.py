"""The page that `elbax compare` writes: one table, and the runs' figures side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elbax.figures import FIGURES, FigureUnavailable, draw, draw_curve, figure_png
from elbax.report import comparison
from elbax.report.comparison import Comparison
from elbax.report.page import cell, document, escaped, picture, table
from elbax.run import folder

# The others explain the method and are the same for every run, or join the runs themselves.
SIDE_BY_SIDE = tuple(
    name for name in FIGURES if name not in ("normal", "reparam", "rate_distortion")
)

_STYLE = """
main { max-width: none; padding: 2.5rem 2rem 4rem; }
.side { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); }
.side figure { margin: 0; } .side h3 { overflow-wrap: anywhere; }
.compared td, .compared th { white-space: nowrap; font-variant-numeric: tabular-nums; }
.curve { max-width: 60rem; }
"""


def write(
    found: Comparison, numbers: Mapping[str, Any], said: Callable[[str], None]
) -> tuple[str, dict[str, str]]:
    """The page as HTML, with every picture inside it.

    Args:
        found: The comparison.
        numbers: Its object, as `comparison.to_json` gives it.
        said: Told what is being drawn.

    Returns:
        The page, and for each figure left out the line that says why.
    """
    parts = [
        f"<h1>{escaped(' · '.join(run.name for run in found.runs))}</h1>",
        f'<p class="verdict">{escaped(comparison.heading(numbers))}</p>',
        _table(numbers),
    ]
    left_out: dict[str, str] = {}
    curve = _curve(found)
    if curve:
        parts.append(f'<div class="curve">{curve}</div>')
    for name in SIDE_BY_SIDE:
        pictures = []
        for run in found.runs:
            png = _png(name, run, said)
            if isinstance(png, str):
                left_out[f"{name} of {run.name}"] = png
            else:
                pictures.append(picture(name, png, title=run.name, caption=False))
        if pictures:
            spec = FIGURES[name]
            parts.append(
                f'<h2>{escaped(spec.title)}</h2><p class="soft">{escaped(spec.caption)}</p>'
                f'<div class="side">{"".join(pictures)}</div>'
            )
    parts += [
        f'<p class="soft">{escaped(name)}: {escaped(why)}</p>' for name, why in left_out.items()
    ]
    return document("comparison", parts, style=_STYLE), left_out


def _table(numbers: Mapping[str, Any]) -> str:
    rows = [
        (escaped(name), *(cell(words, "n") for words in rest))
        for name, *rest in comparison.cells(numbers)
    ]
    seeds = "".join(
        f"<p>{escaped(comparison.seeds_in_words(numbers, one))}.</p>" for one in numbers["seeds"]
    )
    over = f'<p class="soft">{escaped(comparison.SEEDS)}</p>' if numbers["seeds"] else ""
    return (
        f'<div class="scroll">{table("compared", rows, comparison.columns(numbers))}</div>'
        f'{seeds}{over}<p class="soft">{escaped(comparison.ERRORS)}</p>'
    )


def _curve(found: Comparison) -> str:
    """Rate against distortion of all runs."""
    return picture("rate_distortion", figure_png(draw_curve(comparison.rate_points(found))))


def _png(name: str, run: comparison.Measured, said: Callable[[str], None]) -> bytes | str:
    """A run's own picture where it has drawn it, else one drawn now; or why there is none."""
    try:
        return (run.run / folder.FIGURES / f"{name}.png").read_bytes()
    except OSError:
        said(f"drawing {name} of {run.name}")
    try:
        return figure_png(draw(name, run.run))
    except FigureUnavailable as why:
        return str(why)
