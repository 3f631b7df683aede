"""The verbs as an assistant's tools: the Model Context Protocol over standard input and output."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

import asyncio
import base64
import inspect
import re
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NotRequired

import mcp_types as types
import orjson
import pyarrow as pa
from mcp.server import Server, ServerRequestContext
from mcp.server.stdio import stdio_server
from pydantic import Field, TypeAdapter

from elbax.data.tables import single
from elbax.serve import answers, schemas
from elbax.serve.answers import Answer
from elbax.serve.limits import Refused
from elbax.serve.reading import PNG, checked
from elbax.serve.service import Service
from elbax.util.words import listed, one_line, shown

if TYPE_CHECKING:
    import numpy as np

    from elbax.run.run import Run
    from elbax.serve.limits import Limits
    from elbax.serve.verbs import Verbs, Work

_SEED = NotRequired[Annotated[int, Field(ge=0, le=2**32 - 1, description="Of everything drawn.")]]
_UNSEEN = NotRequired[
    Annotated[
        Literal["refuse", "missing"],
        Field(description="What becomes of categories that training did not see."),
    ]
]
_DRAW = NotRequired[Annotated[bool, Field(description="Draw from p(x|z), not its mean.")]]
_LABEL = NotRequired[Annotated[str, Field(max_length=1000, description="Of a model of labels.")]]
_GIVEN = NotRequired[
    Annotated[
        str,
        Field(
            max_length=10_000,
            description="Of a table: cells to fix or keep within, age=40..50,kind=ash|elm.",
        ),
    ]
]


class Tool(NamedTuple):
    """A verb of one run.

    Attributes:
        name: What it is called by.
        does: What it does, in a sentence or two.
        data: The type of its rows or latents; None where it takes none.
        options: The type of its options.
        work: What is to be computed of rows or latents, and options; or what is known already.
    """

    name: str
    does: str
    data: TypeAdapter | None
    options: TypeAdapter
    work: Callable[[Any, dict[str, Any]], Work | Answer]

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of all that it takes."""
        parts = [schemas.schema(kind) for kind in (self.data, self.options) if kind is not None]
        return {
            "type": "object",
            "properties": {k: v for part in parts for k, v in part["properties"].items()},
            "required": [name for part in parts for name in part.get("required", ())],
            "additionalProperties": False,
        }


def serve(runs: Sequence[Run], limits: Limits) -> None:
    """Answers on standard input and output until the input ends.

    Args:
        runs: The runs.
        limits: How much work is taken on.
    """
    service = Service(runs, limits)
    warm = threading.Event()

    def compile_all() -> None:
        try:
            service.warm()
        finally:
            warm.set()

    # The assistant is told at once what there is; what it calls waits for the programs.
    threading.Thread(target=compile_all, daemon=True).start()
    server = server_of(service, warm)

    async def go() -> None:
        async with stdio_server() as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())

    asyncio.run(go())
    service.close()


def server_of(service: Service, warm: threading.Event) -> Server:
    """The server of a service's tools.

    Args:
        service: The runs.
        warm: Is set when their programs are compiled.
    """
    tools = {tool.name: tool for tool in tools_of(service)}

    async def list_tools(
        _context: ServerRequestContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool.name, description=tool.does, input_schema=tool.schema)
                for tool in tools.values()
            ]
        )

    async def call_tool(
        _context: ServerRequestContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            return _failed(f"there is no tool {shown(repr(params.name))}: there are {list(tools)}")
        return await asyncio.to_thread(_called, service, tool, params.arguments or {}, warm)

    return Server(
        "elbax", version=version("elbax"), on_list_tools=list_tools, on_call_tool=call_tool
    )


def tools_of(service: Service) -> list[Tool]:
    """The verbs that each run answers; of several runs with the run's name before the verb's."""
    alone = len(service.verbs) == 1
    found = []
    for name, verbs in service.verbs.items():
        before = "" if alone else re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40] + "_"
        found += [
            tool._replace(name=before + tool.name, does=f"{tool.does} {_about(name, verbs)}")
            for tool in _of_run(verbs)
            if tool.name not in verbs.unavailable
        ]
    return found


def _of_run(verbs: Verbs) -> list[Tool]:
    rows, latents = verbs.reader.rows, verbs.reader.latents
    read = verbs.reader.of_python

    def tool(name: str, data: TypeAdapter | None, work: Any, **options: Any) -> Tool:
        does = inspect.cleandoc(getattr(type(verbs), name).__doc__ or "")
        return Tool(name, does, data, schemas.options(options), work)

    reading = {"unseen": _UNSEEN, "seed": _SEED}
    count = Annotated[int, Field(ge=1, le=verbs.limits.rows, description="How many.")]
    return [
        tool("encode", rows, lambda x, o: verbs.encode(read(x), **o), unseen=_UNSEEN),
        tool("reconstruct", rows, lambda x, o: verbs.reconstruct(read(x), **o), **reading),
        tool("score", rows, lambda x, o: verbs.score(read(x), **o), **reading),
        tool("impute", rows, lambda x, o: verbs.impute(read(x), **o), **reading),
        tool(
            "decode",
            latents,
            lambda x, o: verbs.decode(_latents(x), **o),
            draw=_DRAW,
            label=_LABEL,
            seed=_SEED,
        ),
        tool(
            "sample",
            None,
            lambda _, o: verbs.sample(**o),
            count=count,
            draw=_DRAW,
            label=_LABEL,
            given=_GIVEN,
            seed=_SEED,
        ),
        tool("info", None, lambda _x, _o: Answer(verbs.info)),
    ]


def _latents(found: dict[str, Any]) -> np.ndarray:
    import numpy as np

    return single(np.array(found["z"], float))


def _about(name: str, verbs: Verbs) -> str:
    info = verbs.info()
    of = f"data of the shape {verbs.reader.shape}"
    if verbs.reader.table:
        of = f"the columns {listed((column.name for column in verbs.columns), 50)}"
    data = shown(info["data"])
    return f"(Model {shown(name)}: {info['recipe']}, trained on {data}, of {of}.)"


def _called(
    service: Service, tool: Tool, given: dict[str, Any], warm: threading.Event
) -> types.CallToolResult:
    """What a tool gives; a mistake is told in one line, so that the assistant can mend it."""
    seconds = service.limits.seconds
    try:
        work = _prepared(tool, given)
        if isinstance(work, Answer):
            return _done(work)
        if not warm.wait(seconds):
            raise Refused(503, "the programs are being compiled: call again in a minute")
        return _done(service.ask(work))
    except Refused as error:
        return _failed(error.reason)
    except TimeoutError:
        return _failed(f"it took longer than {seconds:g} s: give fewer rows")


def _prepared(tool: Tool, given: dict[str, Any]) -> Work | Answer:
    """What a call asks for.

    Raises:
        Refused: It asks for nothing that the tool does.
    """
    own = set(tool.options.json_schema()["properties"])
    options, rest = ({k: v for k, v in given.items() if (k in own) is of} for of in (True, False))
    if tool.data is None and rest:
        raise Refused(422, f"{tool.name} takes no {shown(repr(next(iter(rest))))}")
    try:
        data = None if tool.data is None else checked(tool.data, orjson.dumps(rest))
        return tool.work(data, checked(tool.options, orjson.dumps(options)))
    except (ValueError, OverflowError, TypeError, pa.ArrowException) as error:
        raise Refused(422, one_line(error)) from None


def _done(answer: Answer) -> types.CallToolResult:
    body = answers.plain(answer.body())
    content: list[Any] = [types.TextContent(type="text", text=orjson.dumps(body).decode())]
    if answer.picture is not None:
        picture = base64.b64encode(answer.picture()).decode()
        content.append(types.ImageContent(type="image", data=picture, mime_type=PNG))
    return types.CallToolResult(content=content, structured_content=body)


def _failed(reason: str) -> types.CallToolResult:
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=reason)], is_error=True
    )
