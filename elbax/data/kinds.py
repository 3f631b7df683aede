"""Which kind of column some cells are: by one stated rule, or as asked.

Tables are read by `infer`, each column by itself. `infer_matrix` is for a feature matrix, which has
neither names nor types, and is followed by rows that nobody has seen when the kinds are chosen.
"""

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from elbax.data.cells import Category, Cells, check_numbers, is_temporal, plain
from elbax.data.columns import LIKELIHOODS, RANGES, Column
from elbax.data.errors import ColumnError, DataError, UnusableColumn
from elbax.data.mends import FLAGS, Mends
from elbax.util.words import counted, hint, shown

IGNORE = "ignore"
# What a user may ask for, besides a likelihood by its name; "constant" is found, never asked for.
ASKED = (*LIKELIHOODS, "binary", "categorical", "ordinal", IGNORE)
_ALIASES = {
    likelihood: kind
    for kind, likelihood in LIKELIHOODS.items()
    if likelihood not in (*LIKELIHOODS, "binary")
}
# Families that a whole array's columns may be asked to have.
KINDS = frozenset((*LIKELIHOODS, *_ALIASES)) - {"bernoulli", "continuous-bernoulli"}
_WITH_LEVELS = re.compile(r"(categorical|ordinal)-([1-9]\d{0,3})")

MOST_CATEGORIES = 100
_FEW_LEVELS = 10  # different whole numbers that are still taken for an ordered scale
_WIDE = 10  # times as many whole numbers between the least and the greatest: codes, no scale
_LARGE_MEAN = 30  # of whole numbers whose kind is judged by fit
_CODE = re.compile(r"(?i)(^|[\s_.-])(zip|zip ?code|post ?code|postal ?code|plz|code|codes)$")
_IDENTIFIER = re.compile(r"(?i)(^|[\s_.-])(id|ids|uuid|guid|key|nr|no|number)$")


def check_kind(name: str, kind: str) -> str:
    """The kind that a word asks for: "continuous" for "normal", and so on.

    Raises:
        DataError: it is no kind; with the nearest one.
    """
    kind = _ALIASES.get(kind, kind)
    if kind not in ASKED and not _WITH_LEVELS.fullmatch(kind):
        raise DataError(
            f"column {shown(repr(name))} is to be {shown(repr(kind))}{hint(kind, ASKED)}: a "
            f"column is {', '.join(ASKED)}"
        )
    return kind


def infer(name: str, cells: Cells, asked: str | None = None, mends: Mends = FLAGS) -> Column:
    """One column of a table, its kind by the rule below or as asked; not yet shifted and scaled.

    Of text and truth values: one value is "constant", two are "binary", up to 100 "categorical" (an
    ordered dictionary is "ordinal"). Of numbers: one is "constant"; two whole ones "binary"; up to
    ten whole ones without 0 "ordinal" (grades), but "categorical" where they are wide apart, or up
    to 100 under a name such as zip or code; whole ones from 0 on whose variance is half their mean
    or more "count", but with a mean above 30 what fits half of them best when it was fitted to the
    others, of "count", "continuous" and "positive"; others "positive" where all are above 0, their
    skewness is above 1 and that of their logarithms less than half of it; else "continuous", as
    dates and times are.

    Args:
        name: its name, for messages.
        cells: all rows' cells.
        asked: what `check_kind` gave, or None.
        mends: how messages say what mends it.

    Raises:
        ColumnError: no observed cell, infinite or too large numbers, too many categories, or a kind
            that the cells do not have.
    """
    _check(name, cells)
    if cells.odd and asked is None:
        raise ColumnError(_odd(name, cells, mends))
    if cells.levels is not None:
        return _of_levels(name, cells, cells.levels, asked)
    observed = cells.observed
    distinct = np.unique(observed)
    if len(distinct) == 1 and cells.notation is None and not is_temporal(cells.dtype):
        return _coded(name, cells, "constant", distinct)
    column = _of_numbers(name, cells, distinct, asked or _rule(name, cells, distinct))
    return dataclasses.replace(column, notation=cells.notation)


def set_aside(name: str, place: int, cells: Cells) -> str | None:
    """Why a column is no property of its row and is kept out of the model, or None.

    Args:
        name: its name.
        place: its place in the table, counted from 0.
        cells: all rows' cells.
    """
    observed = cells.observed
    distinct = len(np.unique(observed)) if cells.levels is None else len(cells.levels)
    if cells.levels is not None:
        unique = cells.dtype == "large_string" and _FEW_LEVELS < distinct == len(observed)
        if cells.odd or (distinct <= MOST_CATEGORIES and not unique):
            return None
        near_unique = distinct > 0.5 * len(observed)
        what = "an identifier or free text" if near_unique else f"more than {MOST_CATEGORIES}"
        return f"{distinct:,} different texts, {what}: merge them to have it modelled"
    if distinct < max(2, len(observed)) or not np.all(observed == np.rint(observed)):
        return None
    first, last = (float(observed[0]), float(observed[-1])) if distinct else (0.0, 0.0)
    counts_rows = len(observed) == len(cells.numbers) and last - first == len(observed) - 1
    if counts_rows and first in (0.0, 1.0) and np.all(np.diff(observed) == 1):
        return "an index: it counts the rows"
    nameless = not name.strip() or (place == 0 and name.startswith("Unnamed: 0"))
    if nameless or (_IDENTIFIER.search(name) and len(observed) > _FEW_LEVELS):
        return "an identifier: every row has another number"
    return None


def _odd(name: str, cells: Cells, mends: Mends) -> str:
    first = [text for text, _ in zip(cells.odd, range(3), strict=False)]
    total = sum(cells.odd.values())
    rows = [_row_of(cells, text) for text in first]
    shown_ = ", ".join(
        f"{shown(repr(text))} (row {row:,})" for text, row in zip(first, rows, strict=True)
    )
    more = ", …" if len(cells.odd) > 3 else ""
    return (
        f"column {shown(repr(name))} holds numbers, and {counted(total, 'cell')} that "
        f"{'is' if total == 1 else 'are'} none: {shown_}{more}, rows counted from 0: mend them, or "
        f"{mends.marks.format(marks=shlex.join([','.join(first)]))}"
    )


def _row_of(cells: Cells, text: str) -> int:
    assert cells.levels is not None
    return int(np.argmax(cells.numbers == cells.levels.index(text)))


def infer_matrix(
    names: Sequence[str], x: np.ndarray, asked: Mapping[str, str] | None = None
) -> tuple[Column, ...]:
    """The columns of a feature matrix, their kinds by the rule below or as asked.

    A table's kinds are judged by all of its rows. A matrix is followed by rows that may hold
    numbers which these do not, a grade that nobody had or a first 0; a model that refuses them is
    of no use in cross-validation. So a column is "binary" where it holds 0 and 1 alone, and every
    other one "continuous". Where all columns are whole numbers from 0 on and some pass 1, they are
    levels or counts of one scale (grey levels, words), of which 0 and 1 are two: "continuous", too.

    Args:
        names: what messages call the columns.
        x: (n, d) float64, NaN where not observed.
        asked: what `check_kind` gave, by name, for columns that are not to be judged.

    Raises:
        ColumnError: as `infer`.
    """
    columns = [Cells(column) for column in x.T]
    for name, cells in zip(names, columns, strict=True):
        _check(name, cells)
    low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    binary = np.all((x == 0) | (x == 1) | np.isnan(x), axis=0) & (low < high)
    whole = np.all((x == np.rint(x)) | np.isnan(x))
    if whole and (low == 0).all() and (high > 1).any():
        binary[:] = False
    kinds = dict(zip(names, np.where(binary, "binary", "continuous"), strict=True))
    kinds |= asked or {}
    return tuple(
        _of_numbers(name, cells, np.unique(cells.observed), str(kinds[name]))
        for name, cells in zip(names, columns, strict=True)
    )


def _check(name: str, cells: Cells) -> None:
    if len(cells.observed) == 0:
        raise UnusableColumn(f"column {shown(repr(name))} has no observed cell: leave it out")
    check_numbers(name, cells)


def _of_levels(name: str, cells: Cells, levels: tuple[Category, ...], asked: str | None) -> Column:
    column = f"column {shown(repr(name))}"
    if codes := _WITH_LEVELS.fullmatch(asked or ""):
        asked = codes[1]
    if asked in LIKELIHOODS:
        raise ColumnError(f"{column} holds {cells.sort}, not numbers: it cannot be {asked}")
    if asked == "ordinal" and not cells.ordered:
        raise ColumnError(
            f"{column} holds {cells.sort}, which has no order of its own: number its levels, or "
            "give an ordered categorical"
        )
    if cells.dtype in ("bool", "large_string"):  # only what occurs
        used = tuple(levels[i] for i in np.unique(cells.observed).astype(int))
        levels = used if cells.dtype == "large_string" or len(used) == 1 else levels
    _check_count(name, len(levels))
    if len(levels) <= 2:
        return Column(name, "constant" if len(levels) == 1 else "binary", cells.dtype, levels)
    if asked == "binary":
        raise ColumnError(f"{column} has {len(levels)} different values: it cannot be binary")
    kind = "ordinal" if cells.ordered and asked != "categorical" else "categorical"
    return Column(name, kind, cells.dtype, levels)


def _of_numbers(name: str, cells: Cells, distinct: np.ndarray, kind: str) -> Column:
    """A column of this kind, refused where the numbers are not such."""
    column = f"column {shown(repr(name))}"
    if kind in RANGES and not RANGES[kind].contains(distinct).all():
        outside = cells.observed[~RANGES[kind].contains(cells.observed)]
        raise ColumnError(
            f"{column} holds {outside[0]:g}: it cannot be {kind}, which is of {RANGES[kind].words}"
        )
    if kind in LIKELIHOODS:
        return Column(name, kind, cells.dtype)
    if codes := _WITH_LEVELS.fullmatch(kind):
        kind, values = codes[1], np.arange(int(codes[2]))
        others = distinct[~np.isin(distinct, values)]
        if len(others):
            raise ColumnError(
                f"{column} holds {others[0]:g}: it cannot be {codes[0]}, whose codes are 0 to "
                f"{values[-1]}"
            )
    elif kind == "binary":
        values = np.arange(2) if np.isin(distinct, (0, 1)).all() else distinct
        if len(values) > 2:
            raise ColumnError(
                f"{column} has {len(distinct):,} different values: it cannot be binary "
                "(bernoulli takes numbers from 0 to 1)"
            )
    else:
        values = distinct
    _check_count(name, len(values))
    return _coded(name, cells, kind if len(values) > 1 else "constant", values)


def _coded(name: str, cells: Cells, kind: str, values: np.ndarray) -> Column:
    return Column(
        name, kind, cells.dtype, tuple(plain(float(value), cells.dtype) for value in values)
    )


def _check_count(name: str, found: int) -> None:
    if found > MOST_CATEGORIES:
        raise UnusableColumn(
            f"column {shown(repr(name))} has {found:,} different values, more than "
            f"{MOST_CATEGORIES} categories: merge them, or leave it out"
        )


def _rule(name: str, cells: Cells, distinct: np.ndarray) -> str:
    observed = cells.observed
    if is_temporal(cells.dtype) or (cells.notation is not None and cells.notation.date):
        return "continuous"
    if np.all(distinct == np.rint(distinct)):
        kind = _rule_of_whole(name, observed, distinct)
        if kind is not None:
            return kind
    if distinct[0] > 0:
        skewness = _skewness(observed)
        if skewness > 1.0 and abs(_skewness(np.log(observed))) < 0.5 * skewness:
            return "positive"
    return "continuous"


def _rule_of_whole(name: str, observed: np.ndarray, distinct: np.ndarray) -> str | None:
    """The kind of whole numbers; None where they are judged as all numbers are."""
    if len(distinct) == 2:
        return "binary"
    if len(distinct) <= MOST_CATEGORIES and _CODE.search(name):
        return "categorical"
    if len(distinct) <= _FEW_LEVELS and distinct[0] > 0:
        wide = distinct[-1] - distinct[0] >= _WIDE * len(distinct)
        return "categorical" if wide else "ordinal"
    if distinct[0] >= 0 and np.var(observed) >= 0.5 * np.mean(observed):
        return "count" if np.mean(observed) <= _LARGE_MEAN else _by_fit(observed)
    return None


def _by_fit(observed: np.ndarray) -> str:
    """What fits every other cell best once fitted to the rest: a count, a normal, a log-normal."""
    from scipy import stats

    fitted, held = observed[::2], observed[1::2]
    mean, variance = np.mean(fitted), np.var(fitted)
    fits = {"continuous": stats.norm.logpdf(held, mean, max(np.sqrt(variance), 1e-9))}
    if variance > mean:
        size = mean**2 / (variance - mean)
        fits["count"] = stats.nbinom.logpmf(held, size, size / (size + mean))
    if observed.min() > 0:
        logs = np.log(fitted)
        spread = max(float(np.std(logs)), 1e-9)
        fits["positive"] = stats.norm.logpdf(np.log(held), np.mean(logs), spread) - np.log(held)
    return max(fits, key=lambda kind: float(np.mean(fits[kind])))


def _skewness(values: np.ndarray) -> float:
    """The third standardised moment (scipy.stats takes half a second to import)."""
    return float(np.mean(((values - np.mean(values)) / np.std(values)) ** 3))
