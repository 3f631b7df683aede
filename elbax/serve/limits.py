"""What a request may ask for, and what it is told when it asks for more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much work a server takes on.

    Attributes:
        body: Bytes of a request's body.
        rows: Rows of one request, and data drawn by one.
        queue: Rows that wait to be computed, of all requests.
        seconds: How long a request may take, from its first byte to its answer.
        samples: Draws of the latents for each row that is scored. It is the server's and no
            request's, as `draws` is: another number would be another program.
        draws: Draws for each row that is filled.
        proposals: Latents from which `sample` with given cells chooses.
    """

    body: int = 16_000_000
    rows: int = 10_000
    queue: int = 20_000
    seconds: float = 60.0
    samples: int = 1000
    draws: int = 200
    proposals: int = 20_000


class Refused(Exception):
    """A request that is not answered, and why.

    Attributes:
        status: The status of HTTP that says it.
        reason: One line for whoever asked.
        again: After how many seconds it is worth asking again; None: not as it was asked.
    """

    def __init__(self, status: int, reason: str, again: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.again = again


class Full(Refused):
    """Too much is waiting already."""

    def __init__(self, waiting: int) -> None:
        reason = f"{waiting:,} rows are waiting to be computed: ask again in a second"
        super().__init__(429, reason, again=1)
