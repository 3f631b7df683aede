"""A served model under load: requests a second, how long they take, and whether all are right.

Run it as `.venv/bin/python -m benchmarks.serve`. It trains a small model of a table, serves it in a
process of its own, and asks it for the scores of single rows over connections that stay open: first
as fast as answers come, then at a steady rate, where a request is sent at its time whether or not
those before it are answered (so that what waits counts as time). Every answer is compared with
Python's score of the same row. `--write` puts the table into docs/guide-serve.md.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import machine

PAGE = Path("docs/guide-serve.md")
_MARKS = "<!-- measured: begin -->", "<!-- measured: end -->"
_TARGET_RATE, _TARGET_MS = 1000.0, 50.0


class Load(NamedTuple):
    """What was reached under one load.

    Attributes:
        name: Which load.
        sent: Requests.
        lost: Those without an answer, or with another status than 200.
        wrong: Those whose answer is not Python's.
        rate: Answers a second.
        milliseconds: The median and the 99th percentile.
        processor: Milliseconds of the processor that the server took for a request, of all cores;
            those say more on a machine that is not quiet.
    """

    name: str
    sent: int
    lost: int
    wrong: int
    rate: float
    milliseconds: tuple[float, float]
    processor: float


class Connection(asyncio.Protocol):
    """One connection that asks request after request; the answers come in turn."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[tuple[int, bytes]]] = deque()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the connection."""
        self._transport: Any = transport

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Sends a request; its status and body come later."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._transport.write(request)
        return future

    def data_received(self, data: bytes) -> None:
        """Takes what has come of the answers."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            whole = end + 4 + size
            if len(self._buffer) < whole:
                return
            body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
            self._waiting.popleft().set_result((int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """What was not answered never will be."""
        for future in self._waiting:
            if not future.done():
                future.set_result((0, b""))


class Asker:
    """Asks a server for the scores of rows, and checks the answers."""

    def __init__(
        self, server: subprocess.Popen[str], port: int, rows: list[Any], wanted: np.ndarray
    ) -> None:
        self._server, self._port, self._wanted = server, port, wanted
        self._requests = [_request(row) for row in rows]
        self._took: list[float] = []
        self._lost = self._wrong = 0

    async def closed(self, count: int, connections: int) -> Load:
        """As fast as answers come: each connection asks again when it has its answer."""
        pool = await self._pool(connections)
        numbers = iter(range(count))
        began = time.perf_counter()

        async def go(connection: Connection) -> None:
            for number in numbers:
                await self._ask(connection, number, time.perf_counter())

        await asyncio.gather(*(go(connection) for connection in pool))
        return self._load(f"{connections} at a time", count, time.perf_counter() - began)

    async def steady(self, count: int, rate: float, connections: int) -> Load:
        """So many a second, each sent at its time; how long it takes is counted from then."""
        free = deque(await self._pool(connections))
        freed = asyncio.Event()
        began = time.perf_counter()

        async def go(number: int, due: float) -> None:
            while not free:
                freed.clear()
                await freed.wait()
            connection = free.popleft()
            await self._ask(connection, number, due)
            free.append(connection)
            freed.set()

        tasks = []
        for number in range(count):
            due = began + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(go(number, due)))
        await asyncio.gather(*tasks)
        return self._load(f"{rate:,.0f} a second", count, time.perf_counter() - began)

    async def _pool(self, connections: int) -> list[Connection]:
        loop = asyncio.get_running_loop()
        self._took, self._lost, self._wrong = [], 0, 0
        self._began = _processor(self._server.pid)
        made = [
            await loop.create_connection(Connection, "127.0.0.1", self._port)
            for _ in range(connections)
        ]
        return [connection for _, connection in made]

    async def _ask(self, connection: Connection, number: int, due: float) -> None:
        which = number % len(self._requests)
        status, body = await connection.ask(self._requests[which])
        self._took.append(time.perf_counter() - due)
        if status != 200:
            self._lost += 1
        elif json.loads(body)["log_p"] != [self._wanted[which]]:
            self._wrong += 1

    def _load(self, name: str, count: int, seconds: float) -> Load:
        self._lost += count - len(self._took)
        took = 1e3 * np.array(self._took)
        said = float(np.median(took)), float(np.quantile(took, 0.99))
        processor = 1e3 * (_processor(self._server.pid) - self._began) / count
        return Load(name, count, self._lost, self._wrong, count / seconds, said, processor)


def _processor(process: int) -> float:
    """Seconds of the processor that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _request(row: dict[str, Any]) -> bytes:
    body = json.dumps({"rows": [row]}).encode()
    head = (
        f"POST /score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _table(rows: int, seed: int) -> dict[str, list[Any]]:
    """A table of ten columns: numbers, counts, yes/no and categories, of three causes."""
    draw = np.random.default_rng(seed)
    z = draw.normal(size=(rows, 3))
    numbers = z @ draw.normal(size=(3, 6)) + 0.5 * draw.normal(size=(rows, 6))
    columns: dict[str, list[Any]] = {f"x{i}": numbers[:, i].tolist() for i in range(6)}
    columns |= {f"n{i}": draw.poisson(np.exp(0.5 * z[:, i] + 1)).tolist() for i in range(2)}
    columns["yes"] = (z[:, 0] + draw.normal(size=rows) > 0).tolist()
    places = np.digitize(z[:, 1], [-0.5, 0.5])
    columns["place"] = np.array(["Ulm", "Bern", "Graz"])[places].tolist()
    return columns


def _train(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.csv

    pyarrow.csv.write_csv(pa.table(_table(2000, 0)), folder / "table.csv")
    words = ["train", folder / "table.csv", "--iterations", 1000, "--no-report"]
    _elbax(*words, "--out", folder / "run")
    return folder / "run"


def _elbax(*words: Any) -> None:
    subprocess.run([sys.executable, "-m", "elbax", *map(str, words)], check=True)


def _wanted(run: Path, columns: dict[str, list[Any]], samples: int) -> np.ndarray:
    """Python's scores of rows, each as the only row of its request."""
    import pyarrow as pa

    from elbax.data import tables
    from elbax.data.formats import tables as files
    from elbax.evaluate import score
    from elbax.run.run import Run
    from elbax.run.use.tables import columns_of
    from elbax.util.keys import of_seed

    opened = Run(run)
    table = files.read(pa.table(columns))
    x = tables.encode(table, columns_of(opened.config)).x
    numbers = np.zeros(len(x), np.int32)
    found = score(
        opened.model, x, key=of_seed(0, "score"), samples=samples, numbers=numbers, tails=False
    )
    return found.estimate.log_likelihood


def _serve(run: Path, samples: int) -> tuple[subprocess.Popen[str], int]:
    words = [sys.executable, "-m", "elbax", "serve", run, "--port", "0", "--samples", samples]
    server = subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    found = re.search(r":(\d+):", server.stdout.readline())
    assert found is not None, "the server did not start"
    return server, int(found[1])


def measure(run: Path, count: int, samples: int) -> list[Load]:
    """Serves a run and asks it."""
    columns = _table(min(count, 2000), 1)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    wanted = _wanted(run, columns, samples)
    server, port = _serve(run, samples)
    try:
        asker = Asker(server, port, rows, wanted)

        async def go() -> list[Load]:
            await asker.closed(count // 10, 32)
            loads = [await asker.closed(count, 32)]
            loads += [await asker.steady(count, rate, 128) for rate in (250.0, 500.0, 1000.0)]
            return loads

        return asyncio.run(go())
    finally:
        server.terminate()
        server.wait()


def as_table(loads: dict[int, list[Load]]) -> str:
    """The loads as a table of Markdown."""
    lines = [
        (
            "| draws a row | load | requests | lost | wrong | answers a second | median ms "
            "| p99 ms | processor ms |"
        ),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for samples, found in loads.items():
        for one in found:
            median, late = one.milliseconds
            lines.append(
                f"| {samples:,} | {one.name} | {one.sent:,} | {one.lost} | {one.wrong} "
                f"| {one.rate:,.0f} | {median:,.1f} | {late:,.1f} | {one.processor:.2f} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints, and perhaps writes."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--count", type=int, default=10_000, help="requests of each load")
    parser.add_argument("--samples", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--run", type=Path, help="a run on the table; without it: one is trained")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE}")
    asked = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        run = asked.run or _train(Path(folder))
        loads = {samples: measure(run, asked.count, samples) for samples in asked.samples}
    here = machine.describe()
    said = (
        f"{here['cpu']}, {here['cores']} cores, which client and server share; Python "
        f"{here['python']}, jax {here['versions']['jax']}. Before, its load was {before:.1f} (of "
        f"other work). The aim was {_TARGET_RATE:,.0f} answers a second with p99 ≤ "
        f"{_TARGET_MS:g} ms on two cores."
    )
    text = f"{as_table(loads)}\n\n{said}"
    print(text)
    if asked.write:
        page = PAGE.read_text(encoding="utf-8")
        begin, end = (page.index(mark) for mark in _MARKS)
        PAGE.write_text(f"{page[: begin + len(_MARKS[0])]}\n{text}\n{page[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
