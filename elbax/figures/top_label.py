"""The latent space from above, by label: what each place decodes to, and who lives there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import ndimage
from scipy.special import ndtr

from elbax.evaluate import decode, posterior_moments, preprocess
from elbax.evaluate.samples.neighbours import nearest
from elbax.figures.drawing.latent_grid import quantile_grid
from elbax.figures.drawing.style import INK, label_colours, outline, page, plain
from elbax.figures.needs import held_out
from elbax.figures.top_infer import latent_axes, quantile_ticks, which_latents
from elbax.run.run import Run

COUNT = 60  # places along an axis: top_infer's twenty are the second, fifth, eighth … of these
NEIGHBOURS = 5
TRAINING_ROWS = 8000  # more change few cells, and the time grows with them
ENCODED_ROWS = 10_000
COORDINATES = 1024  # of a datum, evenly spaced, where it has more
NAMED = 20  # with more labels than this the map bears no names
KEYED = 12  # with more labels than this there is no row of swatches
KEY_LETTERS = 120  # in a line of swatches
FAR = 2.0  # standard deviations of the prior
NAMED_SHARE, STRIP_SHARE = 0.02, 0.05  # of the cells: smaller regions bear no name


@dataclass(frozen=True, eq=False)
class Labels:
    """The distinct labels in ascending order, what they are called, and their colours."""

    values: np.ndarray
    names: tuple[str, ...]
    colours: np.ndarray

    @property
    def named(self) -> bool:
        """Whether there is room for their names on the map."""
        return len(self.names) <= NAMED


def figure(run: Run) -> Figure:
    """Left: a grid of places by the label of what they decode to. Right: encoded rows by theirs."""
    labels = _labels(run)
    axes = latent_axes(run)
    flat = len(axes) == 1
    winners, votes = _decoded(run, axes, labels)
    means, own, rows = _encoded(run, labels)
    key_columns = 0 if flat else _key_columns(labels)
    key_lines = -(-len(labels.names) // key_columns) if key_columns else 0
    drawing = page(
        10.6,
        3.3 if flat else 5.25 + 0.25 * key_lines,
        "The latent space from above, labelled",
        "Left: places (Gaussian quantiles) by the label that they decode to, which is the vote of "
        f"the {NEIGHBOURS} nearest training data; paler where the votes differ. Right: the "
        f"posterior means of {rows} by their own label. {_far(means[:, axes])}"
        + which_latents(axes, run.model.latent_dim),
        run.name,
    )
    left, right = drawing.subplots(1, 2)
    _cells(left, winners, votes, labels)
    (_strip if flat else _points)(right, ndtr(means[:, axes]), own, labels)
    left.set_title("decoded")
    right.set_title("encoded")
    for panel in (left, right):
        panel.set(xlim=(0, 1), ylim=(0, 1))
        if not flat:
            panel.set_aspect("equal")
        quantile_ticks(panel, axes)
    if key_columns:
        _swatches(drawing, labels, key_columns)
    if not labels.named:
        _colour_key(drawing, [left, right], labels)
    return drawing


def _labels(run: Run) -> Labels:
    split, _ = held_out(run.dataset)
    values = np.union1d(np.asarray(run.dataset.train.label), np.asarray(split.label))
    given = run.dataset.label_names
    names = tuple(plain(given[v] if 0 <= v < len(given) else str(v), 14) for v in values)
    return Labels(values, names, label_colours(len(values)))


def _decoded(run: Run, axes: np.ndarray, labels: Labels) -> tuple[np.ndarray, np.ndarray]:
    """For each place the index of the label that it decodes to, and that label's share of votes."""
    train, model = run.dataset.train, run.model
    chosen = _choose(len(train), TRAINING_ROWS, run.seed)
    grid = quantile_grid(axes, model.latent_dim, COUNT)
    latents = grid.reshape(-1, model.latent_dim).astype(np.float32)
    decoded = _coordinates(decode(model, latents))
    rows = _coordinates(preprocess(model, train.x[chosen]))
    own = np.searchsorted(labels.values, np.asarray(train.label)[chosen])
    if run.dataset.columns:  # of unlike scales
        rows, own, decoded = _alike(rows, own, decoded)
    search = _nearest_with_holes if np.isnan(rows).any() else nearest
    near, _ = search(rows, decoded, min(NEIGHBOURS, len(rows)))
    votes = (own[near][:, :, None] == np.arange(len(labels.values))).mean(axis=1)
    return votes.argmax(axis=1).reshape(grid.shape[:2]), votes.max(axis=1).reshape(grid.shape[:2])


def _nearest_with_holes(
    rows: np.ndarray, queries: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, over what a row has."""
    from sklearn.neighbors import NearestNeighbors  # a second, for these alone

    search = NearestNeighbors(n_neighbors=count, algorithm="brute", metric="nan_euclidean")
    distances, near = search.fit(rows).kneighbors(queries)
    return near, distances


def _encoded(run: Run, labels: Labels) -> tuple[np.ndarray, np.ndarray, str]:
    """Posterior means of held-out rows, the indices of their labels, and which rows."""
    split, which = held_out(run.dataset)
    rows = _choose(len(split), ENCODED_ROWS, run.seed)
    moments = posterior_moments(run.model, split.x[rows])
    own = np.searchsorted(labels.values, np.asarray(split.label)[rows])
    of_all = f" of {len(split):,}" if len(rows) < len(split) else ""
    return moments["mean"], own, f"{len(rows):,}{of_all} {which} rows"


def _far(means: np.ndarray) -> str:
    """What becomes of points far out: the axes end at infinity, so none is cut off."""
    share = float((np.abs(means) > FAR).any(axis=1).mean())
    return (
        f"None lies outside, as the axes run to ±∞; the {share:.1%} with a shown coordinate beyond "
        f"±{FAR:g} lie near or at the edge."
    )


def _choose(available: int, wanted: int, seed: int) -> np.ndarray:
    """Up to `wanted` rows at random, in their own order."""
    if available <= wanted:
        return np.arange(available)
    return np.sort(np.random.default_rng(seed).choice(available, wanted, replace=False))


def _coordinates(x: np.ndarray) -> np.ndarray:
    """Data as at most 1,024 evenly spaced numbers each: distances of large images stay cheap."""
    flat = x.reshape(len(x), -1)
    return flat[:, :: -(-flat.shape[1] // COORDINATES)]


def _alike(
    rows: np.ndarray, own: np.ndarray, decoded: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that have any cell, their labels, and what was decoded, in deviations."""
    something = ~np.isnan(rows).all(axis=1)
    rows = rows[something]
    seen = ~np.isnan(rows)
    counts = np.maximum(seen.sum(axis=0), 1)
    centre = np.where(seen, rows, 0.0).sum(axis=0) / counts
    scale = np.sqrt((np.where(seen, rows - centre, 0.0) ** 2).sum(axis=0) / counts)
    scale = np.where(scale > 0, scale, 1.0)
    return rows / scale, own[something], decoded / scale


def _cells(axes: Axes, winners: np.ndarray, votes: np.ndarray, labels: Labels) -> None:
    strength = (0.3 + 0.7 * votes)[..., None]
    axes.imshow(
        labels.colours[winners] * strength + (1 - strength),
        origin="lower",
        extent=(0, 1, 0, 1),
        aspect="auto",
        interpolation="nearest",
    )
    if labels.named:
        rows, columns = winners.shape
        for index, row, column in region_centres(winners):
            _name(axes, (column + 0.5) / columns, (row + 0.5) / rows, labels.names[index])


def region_centres(winners: np.ndarray) -> list[tuple[int, int, int]]:
    """Where to write the names on a map: in each large region, the cell farthest from its edge.

    Args:
        winners: an integer for each cell, (rows, columns).

    Returns:
        (integer, row, column) of each connected region that holds 2% of the cells or more (5% of a
        strip).
    """
    rows, columns = winners.shape
    # A strip has no depth of its own: it is made as high as it is wide.
    repeats, share = (columns, STRIP_SHARE) if rows == 1 else (1, NAMED_SHARE)
    centres = []
    for index in np.unique(winners):
        regions = np.zeros(winners.shape, dtype=np.int32)
        ndimage.label(winners == index, output=regions)
        for region in np.unique(regions[regions > 0]):
            mask = regions == region
            if mask.mean() < share:
                continue
            solid = np.pad(np.repeat(mask, repeats, axis=0), 1)
            depth = np.asarray(ndimage.distance_transform_edt(solid))[1:-1, 1:-1]
            row, column = np.unravel_index(np.argmax(depth), depth.shape)
            centres.append((int(index), int(row) // repeats, int(column)))
    return centres


def _points(axes: Axes, places: np.ndarray, own: np.ndarray, labels: Labels) -> None:
    axes.scatter(*places.T, c=labels.colours[own], s=5, linewidths=0, alpha=0.75, rasterized=True)
    if labels.named:
        for index, (x, y) in strongholds(places, own).items():
            _name(axes, x, y, labels.names[index])


def strongholds(places: np.ndarray, own: np.ndarray, cells: int = 18) -> dict[int, np.ndarray]:
    """Where each label is at home: where many of its points are, and few of the others.

    Args:
        places: (n, 2) in [0, 1].
        own: (n,) each point's label.
        cells: the unit square is cut into cells × cells, and smoothed over neighbouring cells.

    Returns:
        For each label the centre of the cell with the largest count × purity.
    """
    smoothed = {
        int(index): ndimage.gaussian_filter(
            np.histogram2d(*places[own == index].T, bins=cells, range=((0, 1), (0, 1)))[0],
            1.5,
            mode="constant",  # nobody lives beyond the border, so names keep away from it
        )
        for index in np.unique(own)
    }
    everybody = np.sum(list(smoothed.values()), axis=0) + 1e-9
    homes = {}
    for index, mine in smoothed.items():
        best = np.unravel_index(np.argmax(mine**2 / everybody), mine.shape)
        homes[index] = (np.array(best) + 0.5) / cells
    return homes


def _name(axes: Axes, x: float, y: float, name: str) -> None:
    look = {"weight": "bold", "color": INK, "path_effects": outline(3.0), "parse_math": False}
    size = 13 if len(name) < 3 else 9.5
    axes.text(x, y, name, ha="center", va="center", size=size, **look).set_in_layout(False)


def _strip(axes: Axes, places: np.ndarray, own: np.ndarray, labels: Labels) -> None:
    """One latent: a line of ticks per label, the first label at the top."""
    lines = len(labels.names)
    for index, name in enumerate(labels.names):
        mine = places[own == index, 0]
        y = 1 - (index + 0.5) / lines
        axes.vlines(
            mine, y - 0.4 / lines, y + 0.4 / lines, color=labels.colours[index], lw=0.6, alpha=0.5
        )
        if labels.named:
            axes.text(-0.015, y, name, ha="right", va="center", size=9.5, parse_math=False)


def _key_columns(labels: Labels) -> int:
    """How many swatches stand in a line; 0 where there are too many labels for a key."""
    if len(labels.names) > KEYED:
        return 0
    fit = max(1, KEY_LETTERS // (5 + max(map(len, labels.names))))
    lines = -(-len(labels.names) // fit)
    return -(-len(labels.names) // lines)


def _swatches(drawing: Figure, labels: Labels, columns: int) -> None:
    """Every label's colour, below both panels: crowded labels bear no name in the picture."""
    handles = [
        Line2D([], [], ls="none", marker="s", ms=8, color=tuple(colour))
        for colour in labels.colours
    ]
    room = {"handletextpad": 0.4, "columnspacing": 1.4, "borderpad": 0.2, "labelspacing": 0.3}
    blank, place = [" "] * len(handles), "outside lower center"
    key = drawing.legend(handles, blank, loc=place, ncols=columns, handlelength=1, **room)
    for text, name in zip(key.get_texts(), labels.names, strict=True):
        text.set_parse_math(False)
        text.set_text(name)


def _colour_key(drawing: Figure, panels: list[Axes], labels: Labels) -> None:
    scale = Normalize(float(labels.values[0]), float(labels.values[-1]))
    colours = ListedColormap([tuple(colour) for colour in labels.colours])
    drawing.colorbar(ScalarMappable(scale, colours), ax=panels, label="label", shrink=0.8)
