"""What is not answered: each mistake has its status and one line, and nothing is a 500."""

import io
import json

import pyarrow as pa
import pytest
from PIL import Image

from elbax.serve.reading import ARROW
from tests.serve.serving import LIMITS, Served

ROW = {"height": 170.0, "weight": 65.0, "smoker": "no", "colour": "red"}


def png(size, mode="L"):
    sink = io.BytesIO()
    Image.new(mode, size).save(sink, format="PNG")
    return sink.getvalue()


def arrow(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def detail(answer, status):
    assert answer.status_code == status, answer.text
    said = answer.json()["detail"]
    assert "\n" not in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "at least 1 item"),
        ([{"height": 170.0}], "rows.0.weight: Field required"),
        ([ROW | {"height": "tall"}], "rows.0.height"),
        ([ROW | {"height": 10**400}], "rows.0.height"),
        ([ROW, ROW | {"colour": "mauve"}], "'mauve' in 1 row (row 1 first)"),
        ([ROW | {"smoker": 3}], "smoker"),
        ([ROW | {"height": 1e300}], "beyond 1e100"),
        ([ROW] * (LIMITS.rows + 1), "at most 200 items"),
        ("nothing", "valid array"),
    ],
)
def test_rows_that_are_none_of_the_table(served, rows, said):
    assert said in detail(served.post("/table-run/score", json={"rows": rows}), 422)


def test_unseen_categories_may_be_missing(served):
    rows = {"rows": [ROW | {"colour": "mauve"}]}
    assert "?unseen=missing" in detail(served.post("/table-run/score", json=rows), 422)
    found = served.post("/table-run/score?unseen=missing", json=rows).json()
    empty = served.post("/table-run/score", json={"rows": [ROW | {"colour": None}]}).json()
    assert found == empty


@pytest.mark.parametrize(
    ("cell", "said"), [(["", []], "a list"), ({}, "an object"), (10**400, "beyond every float")]
)
def test_a_cell_is_one_value_in_other_columns_too(served, cell, said):
    rows = {"rows": [ROW | {"beside": cell}]}
    assert f"{said} in column 'beside'" in detail(served.post("/table-run/impute", json=rows), 422)


def test_an_unseen_category_of_another_type_is_filled(served):
    rows = {"rows": [ROW | {"smoker": False}, ROW]}
    found = served.post("/table-run/impute?unseen=missing", json=rows).json()["rows"]
    assert found[0]["smoker"] in ("no", "yes")
    assert found[1]["smoker"] == "no"


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"{", "application/json", "Invalid JSON"),
        (b'{"rows": [NaN]}', "application/json", "rows.0"),
        (b"\xff\xfe", "application/json", "Invalid JSON"),
        (b"\x00" * 50, ARROW, "no stream of Arrow's"),
        (arrow(pa.table({"height": [1.0]})), ARROW, "lacks the columns"),
        (arrow(pa.table({"height": pa.array([], pa.float64())})), ARROW, "0 rows"),
    ],
)
def test_bodies_that_are_not_what_they_say(served, body, kind, said):
    answer = served.post("/table-run/score", content=body, headers={"content-type": kind})
    assert said in detail(answer, 422)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"no picture", "no image that can be read"),
        (png((9, 8)), "9×8"),
        (png((8, 8), "RGB"), "colour"),
        (png((8, 8), "LA"), "transparent"),
        (png((8, 8))[:45], "damaged"),
        (png((30_000, 30_000), "1"), "the request is"),
    ],
)
def test_pictures_that_are_none_of_the_run(served, body, said):
    answer = served.post("/image-run/encode", content=body, headers={"content-type": "image/png"})
    assert said in detail(answer, 422)


def test_arrays_of_another_shape_or_beyond_the_levels(served):
    for x, said in (([[[0.0]]], "rows.0"), ([[[[2.0]] * 8] * 8], "less than or equal to 1")):
        assert said in detail(served.post("/image-run/encode", json={"rows": x}), 422)
    lists = pa.table({"x": pa.array([[0.5] * 63])})
    said = {"content": arrow(lists), "headers": {"content-type": ARROW}}
    assert "other lengths than 64" in detail(served.post("/image-run/encode", **said), 422)
    bright = pa.table({"x": pa.array([[2.0] * 64])})
    said["content"] = arrow(bright)
    assert "likelihood" in detail(served.post("/image-run/encode", **said), 422)


@pytest.mark.parametrize(
    ("path", "said", "status"),
    [
        ("/table-run/sample?count=0", {}, 422),
        ("/table-run/sample?count=201", {}, 422),
        ("/table-run/sample?seed=-1", {}, 422),
        ("/table-run/sample?given=age=4", {}, 422),
        ("/table-run/sample?given=%0D0", {}, 422),
        ("/table-run/sample?label=3", {}, 422),
        ("/image-run/sample?given=a=4", {}, 422),
        ("/table-run/decode", {"json": {"z": [[0.0]]}}, 422),
        ("/table-run/decode", {"content": '{"z": [[0.0, 1e999]]}'}, 422),
        ("/table-run/decode", {"content": b"", "headers": {"content-type": "text/csv"}}, 415),
        ("/table-run/score", {"content": b"a", "headers": {"content-type": "image/png"}}, 415),
        ("/table-run/score", {"json": {}, "headers": {"accept": "text/html"}}, 406),
        ("/table-run/nothing", {}, 404),
        ("/nothing", {}, 404),
    ],
)
def test_options_and_addresses(served, path, said, status):
    assert detail(served.post(path, **said), status)


def test_a_long_body_is_not_read(served):
    body = json.dumps({"rows": [ROW | {"colour": "x" * 1_000_000}]})
    said = {"content": body, "headers": {"content-type": "application/json"}}
    assert "1,000,000 bytes" in detail(served.post("/table-run/score", **said), 413)

    async def endless():
        for _ in range(30):
            yield b" " * 100_000

    said["content"] = endless()
    assert "1,000,000 bytes" in detail(served.post("/table-run/score", **said), 413)


def test_the_token_is_asked_for(service):
    served = Served(service, token="s3cret")
    rows = {"json": {"rows": [ROW]}}
    for given in (
        None,
        "Bearer s3cre",
        "Bearer",
        "Basic !",
        "Basic czNjcmV0",
        "s3cret",
        "bearer é",
    ):
        headers = {} if given is None else {"authorization": given.encode()}
        assert "token" in detail(served.post("/table-run/score", headers=headers, **rows), 401)
        assert served.ask("GET", "/openapi.json", headers=headers).status_code == 401
    for given in ("Bearer s3cret", "Basic OnMzY3JldA=="):  # :s3cret
        answer = served.post("/table-run/score", headers={"authorization": given}, **rows)
        assert answer.status_code == 200
    assert served.ask("GET", "/healthz").status_code == 200
    assert served.ask("GET", "/readyz").status_code == 200


def test_a_server_that_stops_turns_away_what_comes(service):
    served = Served(service)
    served.gate.stopping = True
    assert "stopping" in detail(served.post("/table-run/score", json={"rows": [ROW]}), 503)
    assert detail(served.ask("GET", "/readyz"), 503)
    assert served.ask("GET", "/healthz").status_code == 200


def test_what_happened_is_measured(service):
    served = Served(service)
    served.post("/table-run/sample?count=1")
    served.post("/table-run/sample?count=0")
    served.post("/made/up/by/somebody")
    text = served.ask("GET", "/metrics").text
    for line in (
        'elbax_requests_total{path="/table-run/sample",status="200"} 1.0',
        'elbax_requests_total{path="/table-run/sample",status="422"} 1.0',
        'elbax_requests_total{path="other",status="404"} 1.0',
        "elbax_ready 1.0",
        "elbax_queue_rows 0.0",
    ):
        assert line in text
