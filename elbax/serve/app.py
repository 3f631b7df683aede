"""The HTTP side of a service: its addresses, and what becomes of what goes wrong."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse

from elbax.serve import contract
from elbax.serve.answers import chosen, to_json
from elbax.serve.gate import Gate
from elbax.serve.limits import Refused
from elbax.serve.metrics import TYPE, Metrics
from elbax.serve.reading import JSON, Given, Unseen
from elbax.serve.service import Service, prefix
from elbax.util.words import one_line, shown

if TYPE_CHECKING:
    from elbax.serve.answers import Answer
    from elbax.serve.verbs import Verbs, Work

_FEW = 64  # rows that are read and written between two others' requests, not in a thread
_SMALL = 100_000  # bytes, likewise

_Seed = Annotated[int, Query(ge=0, le=2**32 - 1, description="Of everything drawn.")]
_Unseen = Annotated[
    Unseen,
    Query(description="What becomes of categories that training did not see: `missing` are empty."),
]
_Label = Annotated[
    str | None,
    Query(max_length=1000, description="Of a model given labels: its number or its name."),
]
_Draw = Annotated[
    bool | None, Query(description="Draw from p(x|z), in the place of its mean or likeliest value.")
]


def create(service: Service, metrics: Metrics, *, version: str, token: str | None = None) -> Gate:
    """The application: FastAPI's, behind a gate.

    Args:
        service: The runs.
        metrics: What is measured.
        version: Of elbax.
        token: What a request has to know; None lets everybody in.
    """
    app = FastAPI(
        title="elbax",
        version=version,
        description="Trained variational autoencoders: encode, decode, score, fill and sample.",
        redoc_url=None,
    )
    gate = Gate(app, metrics, token)
    _state(app, service, gate, metrics)
    alone = len(service.verbs) == 1
    for name, verbs in service.verbs.items():
        router = APIRouter(prefix="" if alone else prefix(name), tags=[name])
        _Routes(service, verbs).add_to(router)
        app.include_router(router)
    if not alone:
        infos = {name: verbs.info() for name, verbs in service.verbs.items()}
        responses = contract.problems(401, 503)

        @app.get("/info", responses=responses)
        async def info() -> Response:
            """All runs, by the names that their addresses begin with."""
            return Response(to_json(infos), media_type=JSON)

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _wrong_option)
    app.add_exception_handler(HTTPException, _not_here)
    return gate


def _state(app: FastAPI, service: Service, gate: Gate, metrics: Metrics) -> None:
    def ready() -> bool:
        return service.ready and not gate.stopping

    metrics.state(lambda: service.waiting, lambda: float(ready()))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Whether the process lives."""
        return {"status": "alive"}

    @app.get("/readyz", responses=contract.problems(503))
    async def readyz() -> dict[str, str]:
        """Whether requests are answered: programs are compiled, and the server is not stopping."""
        if not ready():
            what = "stopping" if gate.stopping else "compiling"
            raise Refused(503, f"the server is {what}", again=1)
        return {"status": "ready"}

    described = contract.problems(401, 503)

    @app.get("/metrics", responses=described, response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Requests, their times and batches, for Prometheus."""
        return Response(metrics.text(), media_type=TYPE)


class _Routes:
    """The addresses of one run."""

    def __init__(self, service: Service, verbs: Verbs) -> None:
        self._service, self._verbs = service, verbs

    def add_to(self, router: APIRouter) -> None:
        """Adds the verbs that the run answers; the others say why not."""
        verbs, reader = self._verbs, self._verbs.reader
        info = to_json(verbs.info())

        async def about() -> Response:
            """The run: its columns or shape, its numbers, and what can be asked of it."""
            return Response(info, media_type=JSON)

        router.add_api_route("/info", about, responses=contract.problems(401, 503), name="info")
        bodies = {"encode": reader.rows, "reconstruct": reader.rows, "score": reader.rows}
        bodies |= {"impute": reader.rows, "decode": reader.latents}
        for name in ("encode", "decode", "reconstruct", "sample", "score", "impute"):
            if name in verbs.unavailable:
                self._add_refusal(router, name)
                continue
            kind = bodies.get(name)
            pictures = kind is reader.rows
            extra = None if kind is None else contract.body(verbs, kind, pictures=pictures)
            router.add_api_route(
                f"/{name}",
                getattr(self, name),
                methods=["POST"],
                openapi_extra=extra,
                responses=contract.answers(verbs, name, body=kind is not None),
                response_class=Response,
            )

    def _add_refusal(self, router: APIRouter, name: str) -> None:
        reason = self._verbs.unavailable[name]

        async def refuse() -> Response:
            raise Refused(404, reason)

        router.add_api_route(f"/{name}", refuse, methods=["POST"], include_in_schema=False)

    async def encode(self, request: Request, unseen: _Unseen = "refuse") -> Response:
        """The posterior q(z|x) of each row: its mean, and its scale where it has one."""
        return await self._rows(
            request, "encode", lambda given: self._verbs.encode(given, unseen=unseen)
        )

    async def reconstruct(
        self, request: Request, unseen: _Unseen = "refuse", seed: _Seed = 0
    ) -> Response:
        """Each row through encoder and decoder: the mean of numbers, the likeliest category."""
        verb = self._verbs.reconstruct
        return await self._rows(
            request, "reconstruct", lambda given: verb(given, unseen=unseen, seed=seed)
        )

    async def score(
        self, request: Request, unseen: _Unseen = "refuse", seed: _Seed = 0
    ) -> Response:
        """How likely each row is, log p(x) in nats, and each column's share; lower is stranger.

        `error` is its standard deviation over the draws, `kl` what telling the latent costs; null
        stands for what floats cannot hold, and for shares of cells that were not observed.
        """
        verb = self._verbs.score
        return await self._rows(
            request, "score", lambda given: verb(given, unseen=unseen, seed=seed)
        )

    async def impute(
        self, request: Request, unseen: _Unseen = "refuse", seed: _Seed = 0
    ) -> Response:
        """The rows with what is null filled, 90% intervals, and the probabilities of categories."""
        verb = self._verbs.impute
        return await self._rows(
            request, "impute", lambda given: verb(given, unseen=unseen, seed=seed)
        )

    async def decode(
        self, request: Request, draw: _Draw = None, label: _Label = None, seed: _Seed = 0
    ) -> Response:
        """Data from latents: the mean of p(x|z) or the likeliest category, or a draw."""

        def work(body: bytes, kind: str) -> Work:
            z = self._verbs.reader.read_latents(body, kind)
            return self._verbs.decode(z, draw=bool(draw), label=label, seed=seed)

        return await self._answered(request, "decode", work)

    async def sample(
        self,
        request: Request,
        count: Annotated[int, Query(ge=1, description="How many.")] = 1,
        draw: _Draw = None,
        label: _Label = None,
        given: Annotated[
            str | None,
            Query(
                max_length=10_000,
                description="Of a table: cells to fix or to keep within, age=40..50,kind=ash|elm.",
            ),
        ] = None,
        seed: _Seed = 0,
    ) -> Response:
        """New data: z from the prior, x from p(x|z). Of a table drawn, else the mean."""
        most = self._service.limits.rows
        if count > most:
            raise Refused(422, f"count is {count:,}: give at most {most:,}")
        verb = self._verbs.sample

        def work(_body: bytes, _kind: str) -> Work:
            return verb(count, draw=draw, label=label, given=given, seed=seed)

        return await self._answered(request, "sample", work)

    async def _rows(self, request: Request, name: str, verb: Callable[[Given], Work]) -> Response:
        reader = self._verbs.reader
        return await self._answered(request, name, lambda body, kind: verb(reader.read(body, kind)))

    async def _answered(
        self, request: Request, name: str, work: Callable[[bytes, str], Work]
    ) -> Response:
        """Reads a request, has it computed, and writes its answer."""
        if not self._service.ready:
            raise Refused(503, "the server is compiling its programs", again=1)
        kind = chosen(request.headers.get("accept"), contract.answer_types(self._verbs, name))
        limits = self._service.limits
        loop = asyncio.get_running_loop()
        ends = loop.time() + limits.seconds
        try:
            async with asyncio.timeout_at(ends):
                body = await _body(request, limits.body)
        except TimeoutError:
            raise Refused(408, f"the body did not come within {limits.seconds:g} s") from None
        try:
            async with asyncio.timeout_at(ends):
                found = await _aside(
                    len(body) > _SMALL, lambda: self._prepared(request, body, work)
                )
                result = await asyncio.wrap_future(self._service.submit(found))
                many = len(found.numbers) > _FEW
                text = await _aside(many, lambda: _written(found, result, kind))
        except TimeoutError:
            raise Refused(503, f"it took longer than {limits.seconds:g} s", again=10) from None
        return Response(text, media_type=kind)

    def _prepared(self, request: Request, body: bytes, work: Callable[[bytes, str], Work]) -> Work:
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        try:
            return work(body, kind)
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise Refused(422, one_line(error)) from None


def _written(work: Work, result: Any, kind: str) -> bytes:
    answer: Answer = work.answer(result)
    return answer.as_type(kind)


async def _aside(apart: bool, function: Callable[[], Any]) -> Any:
    """What a function gives; apart, other requests go on meanwhile."""
    return await asyncio.to_thread(function) if apart else function()


async def _body(request: Request, most: int) -> bytes:
    """The body, read no further than it may be long.

    Raises:
        Refused: It is longer (413), or ends before its end (400).
    """
    too_long = Refused(413, f"the body is longer than {most:,} bytes: send fewer rows at a time")
    if int(request.headers.get("content-length", 0)) > most:
        raise too_long
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise too_long
            parts.append(part)
    except ClientDisconnect:
        raise Refused(400, "the request ended before its body did") from None
    return b"".join(parts)


async def _refused(_request: Request, error: Any) -> Response:
    headers = {} if error.again is None else {"retry-after": str(error.again)}
    return Response(to_json({"detail": error.reason}), error.status, headers, JSON)


async def _wrong_option(_request: Request, error: Any) -> Response:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return Response(to_json({"detail": shown(f"{place}: {first['msg']}")}), 422, media_type=JSON)


async def _not_here(_request: Request, error: Any) -> Response:
    return Response(to_json({"detail": str(error.detail)}), error.status_code, error.headers, JSON)
