"""What is answered over HTTP is what the commands of the same names write."""

import io
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from elbax import evaluate
from elbax.run.run import Run
from elbax.run.use import other_data
from elbax.serve.reading import ARROW
from tests.serve.serving import DRAWS, MADE, SAMPLES

TABLE, IMAGES = MADE / "table-run", MADE / "image-run"
ROWS = [
    {"height": 179.4, "weight": None, "smoker": "no", "colour": "red"},
    {"height": None, "weight": 61.0, "smoker": None, "colour": "green"},
    {"height": 165, "weight": 58.25, "smoker": "yes", "colour": None},
]


@pytest.fixture
def others(tmp_path):
    """The same rows in a file."""
    path = tmp_path / "others.csv"
    pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


def close(found, wanted):
    np.testing.assert_allclose(
        np.array(found, float), np.array(wanted, float), rtol=1e-6, equal_nan=True
    )


def test_scores_are_those_of_the_command(served, others, elbax, tmp_path):
    out = tmp_path / "scores.csv"
    status, _, err = elbax(
        "score", TABLE, "--data", others, "--samples", SAMPLES, "--out", out, "--split", "all"
    )
    assert status == 0, err
    wanted = pd.read_csv(out)
    found = served.post("/table-run/score", json={"rows": ROWS}).json()
    for name in ("log_p", "error", "effective_samples", "kl", "masses", "densities"):
        close(found[name], wanted[name])
    for name, share in found["shares"].items():
        close(share, wanted[f"log_p[{name}]"])
    table = served.post("/table-run/score", json={"rows": ROWS}, headers={"accept": ARROW}).content
    pd.testing.assert_frame_equal(pa.ipc.open_stream(table).read_pandas(), wanted, rtol=1e-6)


def test_filled_rows_are_those_of_the_command(served, others, elbax, tmp_path):
    out = tmp_path / "filled.csv"
    status, _, err = elbax("impute", TABLE, "--data", others, "--draws", DRAWS, "--out", out)
    assert status == 0, err
    wanted = pd.read_csv(out)
    found = served.post("/table-run/impute", json={"rows": ROWS}).json()
    pd.testing.assert_frame_equal(pd.DataFrame(found["rows"]), wanted, rtol=1e-6, check_dtype=False)
    intervals = pd.read_csv(tmp_path / "filled.intervals.csv", dtype={"value": str})
    assert [cell["value"] for cell in found["intervals"]] == list(intervals["value"])
    assert [cell["column"] for cell in found["intervals"]] == list(intervals["column"])
    close([cell["lower"] for cell in found["intervals"]], intervals["lower"])
    close([cell["probability"] for cell in found["intervals"]], intervals["probability"])


def test_numbers_that_are_whole_by_chance_are_filled_with_decimals(served, elbax, tmp_path):
    rows = [{**ROWS[0], "height": 180}, {**ROWS[0], "height": None}]
    pd.DataFrame(rows).astype({"height": "Int64"}).to_csv(tmp_path / "whole.csv", index=False)
    out = tmp_path / "filled.csv"
    words = ["--data", tmp_path / "whole.csv", "--draws", DRAWS, "--out", out]
    status, _, err = elbax("impute", TABLE, *words)
    assert status == 0, err
    found = pd.DataFrame(served.post("/table-run/impute", json={"rows": rows}).json()["rows"])
    height = pd.read_csv(out)["height"].to_numpy(float)
    assert not height[1].is_integer()
    close(found["height"], height)


def test_latents_and_rows_of_a_table(served, others, elbax, tmp_path):
    out = tmp_path / "codes.csv"
    status, _, err = elbax("encode", TABLE, "--data", others, "--out", out, "--split", "all")
    assert status == 0, err
    wanted = pd.read_csv(out)
    found = served.post("/table-run/encode", json={"rows": ROWS}).json()
    close(found["mean"], wanted[["mean_0", "mean_1"]])
    close(found["scale"], wanted[["scale_0", "scale_1"]])
    arrow = served.post("/table-run/encode", json={"rows": ROWS}, headers={"accept": ARROW})
    pd.testing.assert_frame_equal(
        pa.ipc.open_stream(arrow.content).read_pandas(), wanted, rtol=1e-6, check_dtype=False
    )
    # What encode answered fits decode; at the mean it is what reconstruct answers.
    decoded = served.post(
        "/table-run/decode", content=arrow.content, headers={"content-type": ARROW}
    ).json()
    again = served.post("/table-run/reconstruct", json={"rows": ROWS}).json()
    assert [row["smoker"] for row in decoded["rows"]] == [row["smoker"] for row in again["rows"]]
    heights = [[row["height"] for row in found["rows"]] for found in (decoded, again)]
    close(*heights)


def test_a_table_of_arrows_is_read_as_json_is(served):
    sink = io.BytesIO()
    table = pa.table(pd.DataFrame(ROWS))
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    said = {"content": sink.getvalue(), "headers": {"content-type": ARROW}}
    found = served.post("/table-run/score", **said)
    assert found.json() == served.post("/table-run/score", json={"rows": ROWS}).json()


def test_new_rows_are_those_of_the_command(served, elbax, tmp_path):
    out = tmp_path / "new.csv"
    status, _, err = elbax("sample", TABLE, "--count", 4, "--seed", 3, "--out", out)
    assert status == 0, err
    found = served.post("/table-run/sample?count=4&seed=3").json()
    pd.testing.assert_frame_equal(pd.DataFrame(found["rows"]), pd.read_csv(out), rtol=1e-6)
    given = served.post("/table-run/sample?count=2&given=colour=red,height=170..180").json()
    assert [row["colour"] for row in given["rows"]] == ["red", "red"]
    assert all(169.9 < row["height"] < 180.1 for row in given["rows"])
    assert given["trust"] in ("yes", "doubtful", "no")


def test_images_come_as_numbers_bytes_and_pictures(served, tmp_path):
    run = Run(IMAGES)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *run.model.shape), dtype=np.uint8)
    shares = (pixels / np.float32(255)).astype(np.float32)
    found = served.post("/image-run/encode", json={"rows": shares.tolist()}).json()
    np.save(tmp_path / "pixels.npy", pixels)
    as_file = other_data.on(run, str(tmp_path / "pixels.npy"))
    wanted = evaluate.posterior_moments(as_file.model, as_file.rows("all")[0])
    np.testing.assert_allclose(found["mean"], wanted["mean"], rtol=1e-4, atol=1e-5)

    sink = io.BytesIO()
    Image.fromarray(pixels[0, :, :, 0]).save(sink, format="PNG")
    said = {"content": sink.getvalue(), "headers": {"content-type": "image/png"}}
    alone = served.post("/image-run/encode", **said).json()
    np.testing.assert_array_equal(np.float32(alone["mean"][0]), wanted["mean"][0])

    drawn = served.post("/image-run/sample?count=3", headers={"accept": "image/png"})
    assert drawn.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(drawn.content)).convert("L"))
    x = np.array(served.post("/image-run/sample?count=3").json()["x"])
    height, width = run.model.shape[:2]
    np.testing.assert_allclose(picture[:height, :width], 255 * x[0, :, :, 0], atol=1)


def test_what_a_run_is_stands_at_info(served):
    found = served.ask("GET", "/info").json()
    assert set(found) == {"table-run", "image-run"}
    assert [column["name"] for column in found["table-run"]["columns"]] == list(ROWS[0])
    assert "impute" in found["image-run"]["unavailable"]
    refused = served.post("/image-run/impute", json={"rows": []})
    assert (refused.status_code, "missing" in refused.json()["detail"]) == (404, True)
    assert found["table-run"] == served.ask("GET", "/table-run/info").json()
    assert json.dumps(found)
