"""`elbax serve` as a process: it listens, answers, and stops without losing what it has taken."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from elbax.serve import server
from tests.serve.serving import MADE

ROW = {"height": 170.0, "weight": None, "smoker": "no", "colour": "red"}
BODY = json.dumps({"rows": [ROW] * 20})


@pytest.fixture
def process():
    """A served run on a free port, and the port."""
    words = ["serve", MADE / "table-run", "--port", "0", "--samples", "2000"]
    started = subprocess.Popen(
        [sys.executable, "-m", "elbax", *map(str, words)],
        env=dict(os.environ, ELBAX_TOKEN="s3cret"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        assert started.stdout is not None
        line = started.stdout.readline()
        found = re.match(r"http://127\.0\.0\.1:(\d+): table-run; ", line)
        assert found, started.stderr and started.stderr.read()
        yield started, int(found[1])
        started.kill()


def ask_on(connection: http.client.HTTPConnection) -> tuple[int, bool]:
    """The status of one request, and whether the connection stays open."""
    headers = {"content-type": "application/json", "authorization": "Bearer s3cret"}
    connection.request("POST", "/score", BODY, headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    assert answer.status != 200 or len(body["log_p"]) == 20
    return answer.status, answer.getheader("connection") != "close"


@pytest.mark.slow
def test_nothing_that_was_taken_is_lost(process):
    """What is asked over a connection that was taken has an answer, to the last."""
    started, port = process
    statuses: list[list[int]] = [[] for _ in range(16)]
    ended: list[int] = []

    def ask(found: list[int]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        stays = True
        while stays:
            status, stays = ask_on(connection)
            found.append(status)
        connection.close()
        ended.append(len(found))  # not reached where a request has no answer

    threads = [threading.Thread(target=ask, args=(found,)) for found in statuses]
    for thread in threads:
        thread.start()
    while min(map(len, statuses)) < 3:
        time.sleep(0.01)
    started.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert started.wait(30) == 0
    assert len(ended) == 16
    for found in statuses:
        assert found[-1] == 503
        assert set(found[:-1]) == {200}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(process):
    started, _ = process
    started.send_signal(signal.SIGINT)
    time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    assert started.wait(20) in (0, -signal.SIGINT)


def test_an_address_that_is_taken_is_refused(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("serve", MADE / "table-run", "--port", port)
    assert f"port {port}" in line
    assert "another port" in line


def test_what_cannot_be_served_is_one_line(refused, tmp_path, monkeypatch):
    assert "RUN" in refused("serve")
    assert str(tmp_path) in refused("serve", tmp_path)
    assert "two runs are called table-run" in refused(
        "serve", MADE / "table-run", MADE / "table-run"
    )
    monkeypatch.setenv(server.TOKEN, " ")
    assert "empty" in refused("serve", MADE / "table-run")


def test_without_the_extra_it_says_what_to_install(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    find = __import__("importlib.util").util.find_spec
    gone = {"fastapi", "mcp"}
    monkeypatch.setattr("importlib.util.find_spec", lambda n: None if n in gone else find(n))
    assert "pip install 'elbax[serve]'" in refused("serve", MADE / "table-run")
    assert "pip install 'elbax[mcp]'" in refused("serve", "--mcp", MADE / "table-run")
