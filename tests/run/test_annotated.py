"""AnnData in, `X_elbax` out: in memory and as files, with the real anndata."""

from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import write_elem
from scipy import sparse
from sklearn.neighbors import KNeighborsClassifier

import elbax
from elbax.cli import main
from elbax.data import DataError

CELLS, GENES = 150, 12
TYPES = pd.Index(["B", "NK", "T"], dtype=object)


def named(prefix, count):
    # As objects: the tested anndata cannot write pandas' own strings.
    return pd.Index([f"{prefix}{i}" for i in range(count)], dtype=object)


@pytest.fixture(scope="module")
def adata() -> Any:
    draw = np.random.default_rng(0)
    kind = np.arange(CELLS) % 3
    rate = np.where(np.arange(GENES) % 3 == np.arange(3)[:, None], 12.0, 0.8)
    counts = draw.negative_binomial(4, 4 / (4 + rate[kind])).astype(np.float32)
    obs = pd.DataFrame({"type": pd.Categorical.from_codes(kind, TYPES)}, named("cell", CELLS))
    made: Any = anndata.AnnData(
        sparse.csr_matrix(counts), obs, pd.DataFrame(index=named("gene", GENES))
    )
    made.layers["raw"] = made.X.copy()
    return made


@pytest.fixture(scope="module")
def run(adata, tmp_path_factory):
    return elbax.train(
        adata, out=tmp_path_factory.mktemp("cells") / "run", labels="type", latent_dim=2,
        iterations=300, report=False, verbose=False,
    )  # fmt: skip


@pytest.fixture
def cells(adata, tmp_path):
    path = tmp_path / "cells.h5ad"
    adata.write_h5ad(path)
    return path


def test_its_counts_are_counts_with_the_names_of_the_genes(run, adata):
    columns = run.dataset.columns
    assert [column.name for column in columns] == list(adata.var_names)
    assert {column.likelihood for column in columns} == {"negative-binomial"}
    x, label = run.rows("all")
    np.testing.assert_array_equal(x, adata.X.toarray())
    assert run.dataset.label_names == tuple(TYPES)
    np.testing.assert_array_equal(label, adata.obs["type"].cat.codes)


def test_annotate_writes_the_posterior_means(run, adata):
    mine = adata.copy()
    run.annotate(mine)
    z = mine.obsm["X_elbax"]
    expected = elbax.evaluate.posterior_moments(run.model, adata.X.toarray())
    np.testing.assert_allclose(z, expected["mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(run.encode(adata)["scale"], run.encode()["scale"])
    run.annotate(mine, key="another")
    np.testing.assert_array_equal(mine.obsm["another"], z)
    kind = adata.obs["type"].cat.codes
    near = KNeighborsClassifier(5).fit(z[::2], kind[::2])
    assert near.score(z[1::2], kind[1::2]) > 0.9  # a third by chance


def test_genes_are_found_by_their_names(run, adata):
    z = run.encode(adata)["mean"]
    more = anndata.AnnData(
        np.column_stack([np.full(CELLS, 7.0), adata.X.toarray()[:, ::-1]]),
        var=pd.DataFrame(index=named("other", 1).append(adata.var_names[::-1])),
    )
    np.testing.assert_array_equal(run.encode(more)["mean"], z)
    np.testing.assert_array_equal(run.encode(adata[5:6])["mean"], z[5:6])
    with pytest.raises(ValueError, match="lacks the column 'gene3'"):
        run.encode(adata[:, adata.var_names != "gene3"])


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "integers", "backed"])
def test_every_form_of_x_is_the_same_data(run, adata, cells, form):
    z = run.encode(adata)["mean"]
    x = {
        "dense": adata.X.toarray,
        "csr": lambda: adata.X,
        "csc": lambda: sparse.csc_matrix(adata.X),
        "integers": lambda: adata.X.toarray().astype(np.int64),
    }
    if form == "backed":
        mine = anndata.read_h5ad(cells, backed="r")
    else:
        mine = anndata.AnnData(x[form](), adata.obs, adata.var)
        mine.write_h5ad(cells)
    np.testing.assert_array_equal(run.encode(mine)["mean"], z)
    np.testing.assert_array_equal(run.encode(cells)["mean"], z)


def test_the_command_line_writes_a_copy_with_the_latents(adata, cells, tmp_path, capsys):
    def called(*words):
        return main([str(word) for word in words])

    folder, out = tmp_path / "run", tmp_path / "out.h5ad"
    train = ["train", cells, "--labels", "type", "--latent-dim", "2", "--iterations", "20"]
    assert called(*train, "--no-report", "--out", folder) == 0
    assert called("encode", folder, "--data", cells, "--out", out) == 0
    found: Any = anndata.read_h5ad(out)
    run = elbax.open_run(folder)
    np.testing.assert_array_equal(found.obsm["X_elbax"], run.encode(adata)["mean"])
    np.testing.assert_array_equal(found.layers["raw"].toarray(), adata.X.toarray())
    assert list(found.obs["type"]) == list(adata.obs["type"])
    # Onto the file itself, and from the run's own data.
    assert called("encode", folder, "--out", cells) == 0
    again = anndata.read_h5ad(cells).obsm["X_elbax"]
    np.testing.assert_array_equal(again, found.obsm["X_elbax"])
    for words, match in (
        (["--split", "test"], "an .h5ad file has all cells"),
        (["--data", tmp_path / "none.h5ad"], "give --data cells.h5ad"),
    ):
        capsys.readouterr()
        assert called("encode", folder, *words, "--out", tmp_path / "no.h5ad") != 0
        said = capsys.readouterr().err
        assert match in said
        assert said.count("\n") == 1
        assert not (tmp_path / "no.h5ad").exists()


def test_other_values_are_read_as_they_are(adata):
    logs = adata.copy()
    logs.X = np.log1p(adata.X.toarray())
    assert {c.likelihood for c in elbax.load_data(logs).columns} == {"normal"}
    found = elbax.load_data(adata, likelihood="poisson").columns
    assert {c.likelihood for c in found} == {"poisson"}
    holed = adata.copy()
    holed.X = adata.X.toarray()
    holed.X[3, 4] = np.nan
    data = elbax.load_data(holed)
    assert {c.likelihood for c in data.columns} == {"negative-binomial"}
    assert data.missing("all").sum() == 1


def test_what_cannot_be_used_is_one_line(adata, tmp_path):
    def refused(data, match, **options):
        with pytest.raises(DataError, match=match) as error:
            elbax.load_data(data, **options)
        assert "\n" not in str(error.value)

    twice = anndata.AnnData(adata.X, var=pd.DataFrame(index=named("gene", GENES)))
    twice.var_names = ["same"] * GENES
    refused(twice, "two genes called 'same': adata.var_names_make_unique")
    refused(anndata.AnnData(obs=adata.obs), "has no X: put one there")
    refused(adata, "no column 'typ' .did you mean 'type'", labels="typ")
    refused(adata, r"150 cells × 12 genes, takes 43.2KB .* of 40KB", memory=40_000)
    empty = adata.copy()
    empty.obs["type"] = empty.obs["type"].where(np.arange(CELLS) > 1)
    refused(empty, "are missing for 2 cells", labels="type")

    other = tmp_path / "other.h5ad"
    with h5py.File(other, "w") as file:
        file["spectra"] = [1.0, 2.0]
    refused(other, "other.h5ad is HDF5 and no AnnData .* it holds spectra")
    with h5py.File(other, "w") as file:  # indices beyond the array, which scipy would believe
        for name, length in (("obs", CELLS), ("var", GENES)):
            write_elem(file, name, pd.DataFrame(index=named("n", length)))
        write_elem(file, "X", adata.X)
        indices: Any = file["X/indices"]
        indices[0] = 10**8
    refused(other, "other.h5ad cannot be read as AnnData")
    other.write_bytes(other.read_bytes()[:2000])
    refused(other, "other.h5ad cannot be read as AnnData")
    refused(tmp_path / "none.h5ad", "no such file")
