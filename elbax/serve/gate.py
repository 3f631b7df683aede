"""What stands before every request: whether it is let in, and how long its answer took."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

import base64
import binascii
import hmac
import time
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from elbax.serve.metrics import Metrics

OPEN = ("/healthz", "/readyz")
"""What anybody may ask: whoever starts the server has no token, and learns nothing of the model."""


class Gate:
    """An ASGI application around another one.

    Args:
        app: The other one.
        metrics: Is told of each request.
        token: What a request has to know; None lets everybody in.

    Attributes:
        inside: How many requests are being answered.
        stopping: Whether new requests are turned away.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, token: str | None = None) -> None:
        self._app, self._metrics = app, metrics
        self._token = None if token is None else token.encode()
        self.inside = 0
        self.stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or passes it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.inside += 1
        try:
            if scope["path"] in OPEN or self._may_enter(scope):
                await self._enter(scope, receive, watched)
            else:
                await _refuse(
                    watched, 401, "give the token: Authorization: Bearer TOKEN",
                    (b"www-authenticate", b'Basic realm="elbax: the token is the password"'),
                )  # fmt: skip
        finally:
            self.inside -= 1
            # The route, not the path: there are few of them, whatever is asked.
            path = getattr(scope.get("route"), "path", "other")
            self._metrics.request(path, status, time.perf_counter() - began)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.stopping and scope["path"] not in OPEN:
            ends = (b"retry-after", b"5"), (b"connection", b"close")
            await _refuse(send, 503, "the server is stopping", *ends)
        else:
            await self._app(scope, receive, send)

    def _may_enter(self, scope: Scope) -> bool:
        if self._token is None:
            return True
        given = dict(scope["headers"]).get(b"authorization", b"")
        kind, _, said = given.partition(b" ")
        if kind.lower() == b"basic":  # as browsers ask for it, for the page of the documentation
            try:
                said = base64.b64decode(said, validate=True).partition(b":")[2]
            except binascii.Error:
                said = b""
        elif kind.lower() != b"bearer":
            said = b""
        return hmac.compare_digest(said.strip(), self._token)


async def _refuse(send: Send, status: int, reason: str, *headers: tuple[bytes, bytes]) -> None:
    body = orjson.dumps({"detail": reason})
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": body})
