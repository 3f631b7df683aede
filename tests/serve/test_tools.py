"""The verbs as an assistant's tools, asked by the protocol's own client."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

import asyncio
import base64
import io
import json
import os
import sys
import threading

import numpy as np
import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from PIL import Image

from elbax.serve.tools import server_of
from tests.serve.serving import MADE

ROW = {"height": 170.0, "weight": None, "smoker": "no", "colour": "red"}


@pytest.fixture
def call(service):
    """Calls a tool: its text, and whether it failed."""
    warm = threading.Event()
    warm.set()

    def ask(name, **given):
        async def go():
            async with Client(server_of(service, warm)) as client:
                return await client.call_tool(name, given)

        return asyncio.run(go())

    return ask


def test_what_tools_answer_is_what_http_answers(call, served):
    for verb in ("score", "impute", "encode", "reconstruct"):
        answer = call(f"table-run_{verb}", rows=[ROW, ROW])
        assert not answer.is_error
        wanted = served.post(f"/table-run/{verb}", json={"rows": [ROW, ROW]}).json()
        assert answer.structured_content == json.loads(answer.content[0].text) == wanted
    wanted = served.post("/table-run/sample?count=2&given=colour=blue&seed=4").json()
    found = call("table-run_sample", count=2, given="colour=blue", seed=4)
    assert found.structured_content == wanted
    wanted = served.post("/table-run/decode?draw=true", json={"z": [[0.5, -1]]}).json()
    found = call("table-run_decode", z=[[0.5, -1]], draw=True)
    assert found.structured_content == wanted
    assert call("image-run_info").structured_content["shape"] == [8, 8, 1]


def test_images_come_as_a_picture_too(call):
    answer = call("image-run_sample", count=2)
    picture = Image.open(io.BytesIO(base64.b64decode(answer.content[1].data)))
    assert picture.height == 8
    assert np.shape(answer.structured_content["x"]) == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("tool", "given", "said"),
    [
        ("table-run_score", {"rows": [ROW | {"colour": "mauve"}]}, "'mauve'"),
        ("table-run_score", {"rows": []}, "at least 1 item"),
        ("table-run_score", {"rows": [ROW], "seed": -1}, "seed"),
        ("table-run_score", {"rows": [ROW], "sed": 1}, "sed"),
        ("table-run_sample", {"count": 1, "rows": [ROW]}, "takes no 'rows'"),
        ("table-run_sample", {}, "count"),
        ("table-run_decode", {"z": [[1.0]]}, "at least 2 items"),
        ("nothing", {}, "there is no tool 'nothing'"),
        ("image-run_impute", {"rows": []}, "there is no tool"),
    ],
)
def test_a_mistake_is_told_in_one_line(call, tool, given, said):
    answer = call(tool, **given)
    assert answer.is_error
    assert said in answer.content[0].text
    assert "\n" not in answer.content[0].text


@pytest.mark.slow
def test_over_standard_input_and_output():
    words = ["-m", "elbax", "serve", "--mcp", str(MADE / "table-run"), "--samples", "20"]
    server = StdioServerParameters(command=sys.executable, args=words, env=dict(os.environ))

    async def go():
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            answer = await client.call_tool("score", {"rows": [ROW]})
            return {tool.name: tool for tool in tools}, answer

    tools, answer = asyncio.run(go())
    assert set(tools) == {"encode", "decode", "reconstruct", "sample", "score", "impute", "info"}
    rows = tools["score"].input_schema["properties"]["rows"]["items"]
    assert rows["required"] == list(ROW)
    assert not answer.is_error
    assert np.isfinite(answer.structured_content["log_p"]).all()
