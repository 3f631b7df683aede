"""Ordinary data as people have them, one maker a kind: each writes its files and gives the path."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.feather
from PIL import Image

ROWS = 60


def spots(rows: int = ROWS, size: int = 8) -> np.ndarray:
    """Images in [0, 1] of one soft spot each, (rows, size, size)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    centre = rng.uniform(2, size - 2, (rows, 2, 1, 1))
    return np.exp(-((x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2) / 8)


def people(rows: int = ROWS) -> pd.DataFrame:
    """Two numbers to one decimal and a group."""
    rng = np.random.default_rng(1)
    height = rng.normal(170, 9, rows).round(1)
    weight = (rng.normal(70, 8, rows) + 0.7 * (height - 170)).round(1)
    return pd.DataFrame({"height": height, "weight": weight, "group": rng.choice([*"abc"], rows)})


def patients(rows: int = 200) -> pd.DataFrame:
    """An id, a date, a postcode, income to the ten, BMI to the tenth, and holes."""
    rng = np.random.default_rng(2)
    smoker = rng.random(rows) < 0.3
    days = pd.DatetimeIndex(np.datetime64("2024-01-01") + rng.integers(0, 700, rows))
    table = pd.DataFrame(
        {
            "patient id": [f"P{n:05d}" for n in rng.permutation(90_000)[:rows]],
            "visit date": days.strftime("%Y-%m-%d"),
            "age": rng.normal(52, 15, rows).clip(18, 95).round().astype(int),
            "BMI": (24 + 1.5 * smoker + rng.normal(0, 3, rows)).round(1),
            "smoker": np.where(smoker, "yes", "no"),
            "income": (np.exp(rng.normal(10.3, 0.5, rows)) / 10).round().astype(int) * 10,
            "zip": rng.choice([10115, 20095, 50667, 80331, 1067], rows),
        }
    )
    for column in ("age", "BMI", "smoker", "income"):
        table[column] = table[column].astype(object).mask(rng.random(rows) < 0.2)
    return table


def array(name: str, values: Callable[[], np.ndarray]) -> Callable[[Path], Path]:
    """A maker of a .npy file."""

    def make(folder: Path) -> Path:
        np.save(folder / f"{name}.npy", values())
        return folder / f"{name}.npy"

    return make


def text(name: str, write: Callable[[], str]) -> Callable[[Path], Path]:
    """A maker of a file of text."""

    def make(folder: Path) -> Path:
        (folder / name).write_text(write())
        return folder / name

    return make


def images(ending: str, convert: Callable[[np.ndarray], Image.Image]) -> Callable[[Path], Path]:
    """A maker of a folder of images."""

    def make(folder: Path) -> Path:
        (folder / "images").mkdir()
        for i, image in enumerate(spots(12)):
            convert(image).save(folder / "images" / f"{i:02d}.{ending}")
        return folder / "images"

    return make


def binary(name: str, write: Callable[[Path], object]) -> Callable[[Path], Path]:
    """A maker of any other file."""

    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return make


def measurements() -> np.ndarray:
    """A matrix of columns of very different scales."""
    x = np.random.default_rng(3).normal(size=(ROWS, 4))
    return x * [0.1, 3.0, 50.0, 2000.0] + [1.0, -20.0, 0.0, 40_000.0]


def holes() -> np.ndarray:
    """The matrix with cells that were not observed."""
    x = measurements()
    x[np.random.default_rng(4).random(x.shape) < 0.2] = np.nan
    return x


def gaps() -> np.ndarray:
    """Images in Kelvin of which a fifth of the pixels were not observed."""
    x = 280 + 20 * spots()
    x[np.random.default_rng(6).random(x.shape) < 0.2] = np.nan
    return x


def marked() -> str:
    """Numbers and categories among which stand marks of missing cells."""
    table = people().astype(object)
    for row, mark in enumerate((" ?", "-", "missing", "n/a", ".", "--")):
        table.loc[row, "weight"] = mark
    table.loc[7:9, "group"] = " ?"
    return table.to_csv(index=False)


def money() -> str:
    """Thousands, a currency, per cent and a unit."""
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "paid": [f"{v:,.0f}" for v in np.exp(rng.normal(8, 1, ROWS))],
            "fee": [f"${v:.2f}" for v in rng.gamma(2, 3, ROWS)],
            "share": [f"{v:.1f}%" for v in 100 * rng.beta(2, 5, ROWS)],
            "length": [f"{v:.1f} cm" for v in rng.normal(50, 5, ROWS)],
        }
    ).to_csv(index=False)


def sentinels() -> str:
    """Numbers of which −999 stands for those not observed."""
    table = people()
    table.loc[::6, "weight"] = -999
    return table.to_csv(index=False)


def decimal_commas() -> str:
    """As spreadsheets of most of Europe write: semicolons, and commas for decimals."""
    return people().to_csv(index=False, sep=";", decimal=",")


def european_dates() -> str:
    """Days before months."""
    days = pd.date_range("2023-03-01", periods=ROWS).strftime("%d.%m.%Y")
    return people().assign(day=days).to_csv(index=False)


def moments() -> str:
    """Moments with a time zone."""
    times = pd.date_range("2023-03-01", periods=ROWS, freq="7h", tz="UTC")
    return people().assign(at=times.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(index=False)


def zipped(path: Path) -> None:
    """A table packed by gzip."""
    with gzip.open(path, "wt") as file:
        file.write(people().to_csv(index=False))


def stack(path: Path) -> None:
    """A TIFF of many pages."""
    path.mkdir()
    first, *others = [Image.fromarray((255 * one).astype(np.uint8)) for one in spots(12)]
    first.save(path / "stack.tif", save_all=True, append_images=others)


def grey(image: np.ndarray) -> Image.Image:
    """Eight bits."""
    return Image.fromarray((255 * image).astype(np.uint8))


def deep(image: np.ndarray) -> Image.Image:
    """Sixteen bits."""
    return Image.fromarray((65_535 * image).astype(np.uint16))


CASES: dict[str, Callable[[Path], Path]] = {
    "a matrix of measurements": array("matrix", measurements),
    "the same in float16": array("half", lambda: measurements().astype(np.float16)),
    "a matrix with holes": array("holes", holes),
    "whole numbers of several scales": array("whole", lambda: measurements().astype(np.int64)),
    "CT slices": array("ct", lambda: (4064 * spots() - 1024).astype(np.int16)),
    "temperatures in Kelvin": array("kelvin", lambda: 280 + 20 * spots()),
    "signed bytes": array("int8", lambda: (200 * spots() - 100).astype(np.int8)),
    "16-bit images": array("uint16", lambda: (65_535 * spots()).astype(np.uint16)),
    "grey levels as floats": array("grey", lambda: (255 * spots()).astype(np.float32)),
    "images with holes": array("gaps", gaps),
    "few images": array("few", lambda: (255 * spots(24)).astype(np.uint8)),
    "TIFF": images("tif", grey),
    "TIFF of floats": images("tif", lambda one: Image.fromarray(one.astype(np.float32) * 40 - 5)),
    "TIFF of pages": binary("stack", stack),
    "16-bit PNG": images("png", deep),
    "WebP": images("webp", grey),
    "patients": text("patients.csv", lambda: patients().to_csv(index=False)),
    "decimal commas": text("comma.csv", decimal_commas),
    "vertical bars": text("pipes.csv", lambda: people().to_csv(index=False, sep="|")),
    "gzip": binary("people.csv.gz", zipped),
    "marks of missing cells": text("marks.csv", marked),
    "money": text("money.csv", money),
    "an index": text("index.csv", lambda: people().to_csv()),
    "a sentinel": text("sentinel.csv", sentinels),
    "European dates": text("dates.csv", european_dates),
    "moments": text("moments.csv", moments),
    "Windows-1252": binary(
        "old.csv", lambda p: p.write_bytes(people().to_csv().replace("a\n", "ä\n").encode("cp1252"))
    ),
    "Feather": binary("f.feather", lambda p: pyarrow.feather.write_feather(people(), str(p))),
    "a workbook": binary("book.xlsx", lambda p: write_workbook(p, people())),
}


def write_workbook(path: Path, table: pd.DataFrame) -> None:
    """The least of the Office Open XML that a reader needs: one sheet of inline cells."""
    import zipfile
    from xml.sax.saxutils import escape

    def cell(value: object) -> str:
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
        return f"<c><v>{value}</v></c>"

    rows = [list(table.columns), *table.to_numpy(object).tolist()]
    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" '
            'ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
            '<sheet name="people" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        )
        archive.writestr(
            "xl/worksheets/sheet1.xml",
            f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
        )
