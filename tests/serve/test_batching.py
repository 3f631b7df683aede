"""Rows of many requests computed together: nobody can tell, nothing is lost, nobody waits long."""

import itertools
import threading
import time

import numpy as np
import pytest

from elbax.serve.batching import Batcher, Program
from elbax.serve.limits import Full, Refused
from tests.serve.serving import Served


class Watched:
    """A program that notes its batches, and waits until it may go on."""

    def __init__(self, most: int) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.program = Program("watched", self._compute, most)

    def _compute(self, rows, numbers, seed):
        assert self.go.wait(20)
        self.batches.append(rows[0].tolist())
        return {"twice": 2 * rows[0], "number": numbers + 1000 * seed}


@pytest.fixture
def watched():
    return Watched(8)


@pytest.fixture
def batcher():
    made = Batcher(100)
    yield made
    made.close()


def submit(batcher, watched, values, seed=0):
    values = np.asarray(values)
    return batcher.submit(watched.program, (values, None), np.arange(len(values)), seed)


def test_each_request_gets_its_own_rows(batcher, watched):
    requests = [list(range(10 * i, 10 * i + n)) for i, n in enumerate((1, 3, 20, 1, 2, 1))]
    futures = [submit(batcher, watched, values) for values in requests]
    watched.go.set()
    for values, future in zip(requests, futures, strict=True):
        found = future.result(20)
        np.testing.assert_array_equal(found["twice"], 2 * np.array(values))
        np.testing.assert_array_equal(found["number"], np.arange(len(values)))
    computed = sorted(itertools.chain.from_iterable(watched.batches))
    assert computed == sorted(itertools.chain.from_iterable(requests))
    assert all(len(batch) <= 8 for batch in watched.batches)
    assert len(watched.batches) <= 6  # 28 rows, of which the first may be computed alone
    assert batcher.rows == 0


def test_a_large_request_leaves_room_for_small_ones(batcher, watched):
    submit(batcher, watched, [-1])
    large = submit(batcher, watched, range(80))
    small = [submit(batcher, watched, [100 + i]) for i in range(3)]
    watched.go.set()
    large.result(20)
    assert all(future.done() for future in small)
    whole = [100, 101, 102]
    with_small = [i for i, batch in enumerate(watched.batches) if set(batch) & set(whole)]
    assert with_small[-1] <= 2  # of eleven batches or more


def test_seeds_and_shapes_are_computed_apart(batcher, watched):
    futures = [submit(batcher, watched, [i], seed=i % 2) for i in range(6)]
    wide = batcher.submit(watched.program, (np.ones((1, 2)), None), np.zeros(1, int), 0)
    watched.go.set()
    for i, future in enumerate(futures):
        assert future.result(20)["number"].tolist() == [1000 * (i % 2)]
    assert wide.result(20)["twice"].tolist() == [[2.0, 2.0]]


def test_more_than_the_queue_holds_is_refused(batcher, watched):
    first = submit(batcher, watched, range(8))
    while batcher.rows:  # the first batch is taken
        time.sleep(0.001)
    second = submit(batcher, watched, range(90))
    with pytest.raises(Full, match="90 rows are waiting"):
        submit(batcher, watched, range(11))
    third = submit(batcher, watched, range(10))
    watched.go.set()
    for future, count in ((first, 8), (second, 90), (third, 10)):
        assert len(future.result(20)["twice"]) == count


def test_what_nobody_waits_for_is_not_computed(batcher, watched):
    first = submit(batcher, watched, [1])
    while batcher.rows:
        time.sleep(0.001)
    gone = submit(batcher, watched, range(50, 90))
    last = submit(batcher, watched, [2])
    assert gone.cancel()
    watched.go.set()
    assert first.result(20)
    assert last.result(20)
    assert batcher.rows == 0
    assert watched.batches == [[1], [2]]


def test_an_error_reaches_all_who_wait_for_it(batcher):
    def fails(rows, numbers, seed):
        raise MemoryError("too large")

    program = Program("fails", fails, 4)
    futures = [batcher.submit(program, (np.ones(3), None), np.arange(3), 0) for _ in range(3)]
    for future in futures:
        with pytest.raises(MemoryError):
            future.result(20)
    assert batcher.rows == 0


def test_closing_computes_what_was_taken(watched):
    batcher = Batcher(100, threads=2)
    futures = [submit(batcher, watched, range(30)) for _ in range(3)]
    watched.go.set()
    batcher.close()
    assert all(len(future.result(0)["twice"]) == 30 for future in futures)
    with pytest.raises(Refused, match="stopping"):
        submit(batcher, watched, [1])


def test_an_answer_does_not_depend_on_who_asks_beside(service):
    """Bit for bit: requests of different lengths, alone and all at once."""
    served = Served(service)
    rng = np.random.default_rng(0)
    requests = []
    for count in (1, 1, 2, 7, 1, 70, 3, 1):
        rows = [
            {"height": h, "weight": None, "smoker": "no", "colour": c}
            for h, c in zip(
                rng.normal(170, 9, count), rng.choice(["red", "blue"], count), strict=True
            )
        ]
        requests.append({"json": {"rows": rows}})
    for verb in ("score", "impute", "encode"):
        path = f"/table-run/{verb}"
        together = served.together(*(("POST", path, said) for said in requests))
        alone = [served.post(path, **said) for said in requests]
        assert [one.content for one in together] == [one.content for one in alone]
        assert {one.status_code for one in alone} == {200}
