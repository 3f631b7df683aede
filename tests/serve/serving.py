"""Runs of an earlier version, served within the process of the tests."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

import asyncio
from pathlib import Path

import httpx

from elbax.serve.app import create
from elbax.serve.limits import Limits
from elbax.serve.metrics import Metrics
from elbax.serve.service import Service

MADE = Path(__file__).parents[1] / "fixtures" / "0.1.0"
SAMPLES, DRAWS = 20, 25
LIMITS = Limits(body=1_000_000, rows=200, samples=SAMPLES, draws=DRAWS, proposals=1000)


class Served:
    """A service, and what asks it."""

    def __init__(self, service: Service, token: str | None = None) -> None:
        self.service = service
        self.metrics = Metrics()
        self.gate = create(service, self.metrics, version="test", token=token)

    def ask(self, method: str, path: str, **said) -> httpx.Response:
        """One request."""
        return self.together((method, path, said))[0]

    def post(self, path: str, **said) -> httpx.Response:
        """One request with a body."""
        return self.ask("POST", path, **said)

    def together(self, *requests: tuple[str, str, dict]) -> list[httpx.Response]:
        """Requests that are all asked before any is answered."""

        async def go() -> list[httpx.Response]:
            transport = httpx.ASGITransport(self.gate)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                asked = [client.request(method, path, **said) for method, path, said in requests]
                return list(await asyncio.gather(*asked))

        return asyncio.run(go())
