"""What a server measures of itself, for Prometheus."""

# pyright: reportMissingImports=false
# (Packages of an extra, which not every checkout has.)

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import generate_latest as text_of

TYPE = CONTENT_TYPE_LATEST
"""The media type of `Metrics.text`."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Metrics:
    """Requests, how long they took, and the batches that they were computed in."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "elbax_requests",
            "Requests answered, by what was asked and the status of the answer.",
            ["path", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "elbax_request_seconds",
            "From a request's first byte to its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "elbax_batch_rows",
            "Rows that were computed together.",
            ["program"],
            buckets=_ROWS,
            registry=self._registry,
        )
        self._computing = Histogram(
            "elbax_batch_seconds",
            "What a batch took to compute.",
            ["program"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def state(self, waiting: Callable[[], float], ready: Callable[[], float]) -> None:
        """Has two numbers read whenever somebody asks for the text.

        Args:
            waiting: How many rows wait to be computed.
            ready: 1 where requests are answered, else 0.
        """
        kinds = (
            ("elbax_queue_rows", "Rows that wait to be computed.", waiting),
            ("elbax_ready", "1 where requests are answered: compiled, and not stopping.", ready),
        )
        for name, said, read in kinds:
            Gauge(name, said, registry=self._registry).set_function(read)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Counts a request that was answered."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def batch(self, program: str, rows: int, seconds: float) -> None:
        """Counts a batch that was computed."""
        self._batches.labels(program).observe(rows)
        self._computing.labels(program).observe(seconds)

    def text(self) -> bytes:
        """All of it, in the format of Prometheus."""
        return text_of(self._registry)
