"""`elbax push`: what goes to the hub, and what is refused before anything does."""

import hashlib
import json
import shutil

import pytest
import yaml

from elbax.hub import hub as hubs
from elbax.hub.card import card
from elbax.hub.hub import place
from elbax.run.run import Run
from elbax.util.words import plus_minus
from tests.hub.stand_in import Repository


@pytest.fixture
def copied(finished_run, tmp_path):
    """A copy of the finished run, to be spoiled."""
    return shutil.copytree(finished_run, tmp_path / "copied")


def test_a_run_is_pushed_as_one_commit(hub, elbax, finished_run):
    status, said, err = elbax("push", finished_run, "me/digits", "--json")
    assert status == 0, err
    found, there = json.loads(said), hub.files("me/digits")
    assert found["commit"] == hub.repositories["me/digits"].branches["main"]
    assert len(hub.repositories["me/digits"].commits) == 2  # the hub's own first, and ours
    pictures = {f"figures/{path.name}" for path in (finished_run / "figures").iterdir()}
    files = {"config.json", "model.safetensors", "best.safetensors", "results.json"}
    files = {name for name in {*files, "metrics.jsonl"} if (finished_run / name).exists()}
    assert found["files"].keys() == files | pictures
    assert there.keys() == files | pictures | {"elbax.json", "README.md", ".gitattributes"}
    listed = json.loads(there["elbax.json"])["files"]
    for name in files | pictures:
        content = (finished_run / name).read_bytes()
        assert there[name] == content
        digest = hashlib.sha256(content).hexdigest()
        assert listed[name] == {"bytes": len(content), "sha256": digest}


def test_the_card_has_the_numbers_and_the_pictures(pushed, finished_run):
    words = pushed.files("me/digits")["README.md"].decode()
    _, head, body = words.split("---\n", 2)
    about = yaml.safe_load(head)
    assert about["library_name"] == "elbax"
    assert about["pipeline_tag"] == "unconditional-image-generation"
    assert "license" not in about
    test = json.loads((finished_run / "results.json").read_text())["test"]
    for name in ("elbo", "reconstruction", "kl"):
        assert plus_minus(test[name], test["standard_error"][name]) in body
    for path in (finished_run / "figures").iterdir():
        assert f"](figures/{path.name})" in body
    assert 'elbax.load("hf://me/digits")' in body
    assert str(finished_run) not in words


def test_the_card_names_a_licence_that_is_told_and_takes_words_as_they_are(finished_run):
    run = Run(finished_run)
    data = {**run.config["data"], "name": "a|b <script>\n# `x`"}
    words = card(run.replace(config={**run.config, "data": data}), place("a/b"), [], "cc-by-4.0")
    assert yaml.safe_load(words.split("---\n", 2)[1])["license"] == "cc-by-4.0"
    assert r"a\|b \<script\>\\n\# \`x\`" in words
    assert "\n# `x`" not in words


def test_a_branch_is_made(pushed, elbax, finished_run):
    before = pushed.files("me/digits")
    status, _, err = elbax("push", finished_run, "me/digits@second", "--license", "mit")
    assert status == 0, err
    assert pushed.files("me/digits") is before
    assert b"license: mit" in pushed.files("me/digits", "second")["README.md"]


def test_a_run_takes_the_place_of_another(pushed, elbax, copied):
    (copied / "figures" / "bound.png").unlink()
    pushed.change("me/digits", {"notes.txt": b"mine"})
    status, _, err = elbax("push", copied, "me/digits")
    assert status == 0, err
    there = pushed.files("me/digits")
    assert "figures/bound.png" not in there
    assert "figures/bound.png" not in json.loads(there["elbax.json"])["files"]
    assert there["notes.txt"] == b"mine"


def test_a_card_that_was_edited_stays(pushed, elbax, finished_run):
    pushed.change("me/digits", {"README.md": b"my own words"})
    for _ in range(2):
        status, _, err = elbax("push", finished_run, "me/digits")
        assert status == 0, err
        assert "was edited on the hub, and stays" in err
        assert pushed.files("me/digits")["README.md"] == b"my own words"


def test_a_new_repository_is_private_where_asked(hub, elbax, finished_run):
    assert elbax("push", finished_run, "me/one", "--private")[0] == 0
    assert elbax("push", finished_run, "me/two")[0] == 0
    assert hub.repositories["me/one"].private
    assert not hub.repositories["me/two"].private


def test_private_is_refused_where_everybody_sees_it(pushed, refused, finished_run):
    before = pushed.files("me/digits")
    assert "public already" in refused("push", finished_run, "me/digits", "--private")
    assert pushed.files("me/digits") is before


def test_what_somebody_else_put_there_is_not_written_over(hub, refused, finished_run):
    repository = hub.repositories["me/bert"] = Repository()
    repository.commit({"README.md": b"BERT", "pytorch_model.bin": b""})
    said = refused("push", finished_run, "me/bert")
    assert "files that elbax did not push (pytorch_model.bin)" in said
    assert hub.files("me/bert").keys() == {"README.md", "pytorch_model.bin"}


def test_a_repository_as_the_hub_makes_it_is_taken(hub, elbax, finished_run):
    hub.repositories["me/new"] = Repository()
    hub.repositories["me/new"].commit({"README.md": b"---\nlicense: mit\n---", "LICENSE": b""})
    assert elbax("push", finished_run, "me/new")[0] == 0
    assert b"library_name: elbax" in hub.files("me/new")["README.md"]


def test_who_is_slower_is_refused(pushed, refused, finished_run, monkeypatch):
    look = hubs.look

    def overtaken(at):
        found = look(at)
        pushed.change("me/digits", {"notes.txt": b""})
        return found

    monkeypatch.setattr(hubs, "look", overtaken)
    assert "412" in refused("push", finished_run, "me/digits")


def test_no_token_is_refused_before_the_hub_is_asked(hub, refused, finished_run, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    said = refused("push", finished_run, "me/digits")
    assert "hf auth login" in said
    assert hub.asked == []


def test_a_token_that_may_not_write_is_refused(pushed, refused, finished_run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_reader")
    said = refused("push", finished_run, "me/digits")
    assert "a token that may write" in said
    assert "hf_of" not in said


def test_an_unfinished_run_is_refused(hub, refused, copied):
    (copied / "results.json").unlink()
    assert "elbax resume" in refused("push", copied, "me/digits")
    assert hub.asked == []


def test_a_link_is_not_followed(hub, refused, copied, tmp_path):
    (tmp_path / "secret").write_text("of mine")
    picture = copied / "figures" / "bound.png"
    picture.unlink()
    picture.symlink_to(tmp_path / "secret")
    assert "is a link" in refused("push", copied, "me/digits")
    assert hub.asked == []
