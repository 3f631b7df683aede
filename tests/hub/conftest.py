"""A hub of its own for each test, and nothing else to reach."""

import huggingface_hub.constants
import huggingface_hub.utils
import pytest

from tests.hub.stand_in import TOKEN, StandIn


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in of the hub that the owner is logged in to, with an empty cache."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    huggingface_hub.utils.disable_progress_bars()
    with StandIn() as stand_in:
        monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
        yield stand_in
    huggingface_hub.close_session()


@pytest.fixture
def pushed(hub, finished_run):
    """The hub with a run, as ``me/digits``."""
    from elbax.hub.hub import place
    from elbax.hub.pushing import push
    from elbax.run.run import Run

    push(Run(finished_run), place("me/digits"))
    return hub
