"""`elbax pull` and `elbax.load("hf://…")`: what comes is what was pushed, or nothing does."""

import filecmp
import json
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.utils
import jax
import numpy as np
import pytest

import elbax as package
from elbax.hub import hub as hubs
from elbax.run.folder import read_config
from elbax.util.files import sealed


def tree(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def resealed(hub, change):
    """The manifest of ``me/digits`` with a change, and a seal that fits."""
    manifest = json.loads(hub.files("me/digits")["elbax.json"])
    del manifest["sha256"]
    change(manifest["files"])
    hub.change("me/digits", {"elbax.json": json.dumps(sealed(manifest)).encode()})


def flipped(content):
    return content[:-1] + bytes([content[-1] ^ 1])


def leaves(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model) if hasattr(leaf, "shape")]


def nothing_in(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "cache") == []


def test_a_run_comes_back_bit_for_bit_and_commands_take_it(pushed, elbax, finished_run, tmp_path):
    status, said, err = elbax("pull", "me/digits", "--out", tmp_path / "run", "--json")
    assert status == 0, err
    found, run = json.loads(said), tmp_path / "run"
    assert tree(run) == set(found["files"])
    assert filecmp.cmpfiles(finished_run, run, found["files"], shallow=False)[1:] == ([], [])
    assert elbax("sample", run, "--count", 4, "--out", tmp_path / "s.png")[0] == 0
    assert elbax("encode", run, "--out", tmp_path / "z.csv")[0] == 0
    assert elbax("plot", run, "train_process")[0] == 0


@pytest.mark.slow
def test_every_command_takes_what_was_pulled(pushed, elbax, finished_run, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    out.mkdir()
    assert elbax("pull", "me/digits", "--out", run)[0] == 0
    for words in (
        ("reconstruct", run, "--out", out / "r.png"),
        ("evaluate", run),
        ("diagnose", run),
        ("compare", run, finished_run, "--out", out / "compare.html"),
        ("explore", run),
        ("export", run, "--format", "torch", "--out", out / "torch"),
        ("resume", run),
    ):
        status, _, err = elbax(*words)
        assert status == 0, (words, err)


def test_without_a_folder_it_goes_below_runs(pushed, elbax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in ("001", "002"):
        status, said, err = elbax("pull", "hf://me/digits")
        assert status == 0, err
        assert said.startswith(f"runs/digits-{number}: ")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["digits-001", "digits-002"]


def test_a_model_is_loaded_by_name(pushed, finished_run):
    ours, theirs = package.load("hf://me/digits"), package.load(finished_run)
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        assert one.tobytes() == other.tobytes()
    fetched = [line for line in pushed.asked if line.startswith("GET /me/digits/resolve")]
    assert all("elbax.json" in line or "model.safetensors" in line for line in fetched)


def test_a_revision_is_a_branch_or_a_commit(pushed, tmp_path, elbax):
    first = pushed.repositories["me/digits"].branches["main"]
    pushed.change("me/digits", {"elbax.json": b"{}"})
    assert elbax("pull", f"me/digits@{first}", "--out", tmp_path / "first")[0] == 0
    pushed.repositories["me/digits"].branches["v1"] = first
    assert elbax("pull", "me/digits@v1", "--out", tmp_path / "v1")[0] == 0


def test_what_was_loaded_once_needs_no_network(pushed, monkeypatch):
    first = package.load("hf://me/digits")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for one, other in zip(leaves(package.load("hf://me/digits")), leaves(first), strict=True):
        assert one.tobytes() == other.tobytes()
    with pytest.raises(hubs.UnreachableError, match="can't be reached"):
        package.load("hf://me/other")


def test_what_the_cache_has_is_checked_without_a_network_too(pushed, monkeypatch, tmp_path):
    package.load("hf://me/digits")
    (blob,) = (tmp_path / "cache").glob("models--*/snapshots/*/model.safetensors")
    blob.resolve().write_bytes(flipped(blob.read_bytes()))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(hubs.UnreachableError, match="can't be reached"):
        package.load("hf://me/digits")


def test_a_damaged_cache_is_filled_anew(pushed, finished_run, tmp_path):
    package.load("hf://me/digits")
    (blob,) = (tmp_path / "cache").glob("models--*/snapshots/*/model.safetensors")
    blob.resolve().write_bytes(flipped(blob.read_bytes()))
    assert leaves(package.load("hf://me/digits"))
    assert blob.read_bytes() == (finished_run / "model.safetensors").read_bytes()


# --- what is not what was pushed ---------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "results.json", "figures/generated.png"])
def test_a_changed_file_is_refused(pushed, refused, tmp_path, name):
    pushed.change("me/digits", {name: flipped(pushed.files("me/digits")[name])})
    said = refused("pull", "me/digits", "--out", tmp_path / "run")
    assert f"{name} is not what was pushed" in said
    assert nothing_in(tmp_path)


def test_a_changed_digest_is_refused(pushed, refused, tmp_path):
    def change(listed):
        listed["results.json"]["sha256"] = "0" * 64

    resealed(pushed, change)
    said = refused("pull", "me/digits", "--out", tmp_path / "run")
    assert "results.json is not what was pushed" in said
    assert nothing_in(tmp_path)


def test_a_manifest_that_was_changed_by_hand_is_refused(pushed, refused, tmp_path):
    manifest = pushed.files("me/digits")["elbax.json"]
    pushed.change("me/digits", {"elbax.json": manifest.replace(b'"bytes": 2', b'"bytes": 3')})
    assert "damaged, or changed by hand" in refused("pull", "me/digits", "--out", tmp_path / "run")


@pytest.mark.parametrize(
    "said",
    [b"{", b"[]", b'{"schema": 1}', b'{"schema": 2, "files": {}}', b'{"schema":1,"files":3}'],
)
def test_what_is_no_manifest_is_refused(pushed, refused, tmp_path, said):
    pushed.change("me/digits", {"elbax.json": said})
    assert "elbax.json" in refused("pull", "me/digits", "--out", tmp_path / "run")
    assert nothing_in(tmp_path)


@pytest.mark.parametrize("size", [-1, 2.5, True, None, 1 << 60, "7"])
def test_a_size_that_cannot_be_is_refused(pushed, refused, tmp_path, size):
    resealed(pushed, lambda listed: listed["results.json"].update(bytes=size))
    said = refused("pull", "me/digits", "--out", tmp_path / "run")
    assert "says of results.json no size and SHA-256 that can be" in said


def test_a_pickle_is_not_fetched(pushed, elbax, tmp_path):
    pushed.change("me/digits", {"model.pkl": b"cos\nsystem\n", "figures/x.png": b""})
    assert elbax("pull", "me/digits", "--out", tmp_path / "run")[0] == 0
    assert not any("pkl" in line or "x.png" in line for line in pushed.asked)
    assert not (tmp_path / "run" / "model.pkl").exists()


@pytest.mark.parametrize("name", ["model.pkl", "../outside.json", "/etc/passwd", "figures/x.png"])
def test_a_file_that_no_run_has_is_refused(pushed, refused, tmp_path, name):
    resealed(pushed, lambda listed: listed.update({name: {"bytes": 1, "sha256": "0" * 64}}))
    assert f"lists '{name}'" in refused("pull", "me/digits", "--out", tmp_path / "run")
    assert not any("pkl" in line or "outside" in line for line in pushed.asked)


def test_a_manifest_without_a_file_is_refused(pushed, refused, tmp_path):
    pushed.change("me/digits", {"results.json": None})
    said = refused("pull", "me/digits", "--out", tmp_path / "run")
    assert "lacks results.json" in said
    resealed(pushed, lambda listed: listed.pop("results.json"))
    assert "lists no results.json" in refused("pull", "me/digits", "--out", tmp_path / "run")


def test_a_run_of_another_version_is_refused(pushed, refused, tmp_path, finished_run):
    import hashlib

    config = {**read_config(finished_run), "schema": 99}
    content = json.dumps(config).encode()
    pushed.change("me/digits", {"config.json": content})
    one = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    resealed(pushed, lambda listed: listed.update({"config.json": one}))
    said = refused("pull", "me/digits", "--out", tmp_path / "run")
    assert "has schema 99" in said
    assert "me/digits" in said
    assert nothing_in(tmp_path)


# --- what cannot be fetched --------------------------------------------------------------------


def test_an_unknown_repository_or_revision_is_one_line(pushed, refused, tmp_path):
    assert "there is no repository me/none" in refused("pull", "me/none", "--out", tmp_path / "run")
    assert "has no revision 'v9'" in refused("pull", "me/digits@v9", "--out", tmp_path / "run")
    assert nothing_in(tmp_path)


def test_a_repository_of_something_else_is_one_line(pushed, refused, tmp_path):
    pushed.change("me/digits", {"elbax.json": None})
    assert "holds no run" in refused("pull", "me/digits", "--out", tmp_path / "run")


def test_a_private_repository_is_open_to_its_owner_alone(
    pushed, refused, elbax, tmp_path, monkeypatch
):
    pushed.repositories["me/digits"].private = True
    assert elbax("pull", "me/digits", "--out", tmp_path / "mine")[0] == 0
    monkeypatch.delenv("HF_TOKEN")
    assert "or it is private" in refused("pull", "me/digits", "--out", tmp_path / "run")


def test_conditions_of_a_repository_are_told(pushed, refused, tmp_path, monkeypatch):
    pushed.repositories["me/digits"].gated = True
    monkeypatch.delenv("HF_TOKEN")
    assert "accepts its conditions" in refused("pull", "me/digits", "--out", tmp_path / "run")


def test_no_network_is_one_line(hub, refused, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    said = refused("pull", "me/digits", "--out", tmp_path / "run")
    assert "http://127.0.0.1:9 can't be reached" in said
    assert nothing_in(tmp_path)


def test_a_hub_that_is_forbidden_is_one_line(hub, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert "HF_HUB_OFFLINE" in refused("pull", "me/digits", "--out", tmp_path / "run")


def test_a_hub_that_does_not_answer_in_time_is_one_line(pushed, refused, tmp_path, monkeypatch):
    monkeypatch.setattr(hubs, "_TIMEOUT", 0.2)
    pushed.stall = True
    assert "did not answer in time" in refused("pull", "me/digits", "--out", tmp_path / "run")


def test_a_hub_that_is_broken_is_one_line(pushed, refused, tmp_path):
    pushed.fail["/api/models"] = 500
    assert "answered 500" in refused("pull", "me/digits", "--out", tmp_path / "run")


@pytest.mark.slow
def test_a_download_that_breaks_off_leaves_nothing(pushed, refused, elbax, tmp_path):
    pushed.cut = True
    refused("pull", "me/digits", "--out", tmp_path / "run")
    assert nothing_in(tmp_path)
    pushed.cut = False
    assert elbax("pull", "me/digits", "--out", tmp_path / "run")[0] == 0


def test_a_folder_that_is_taken_is_left_alone(pushed, refused, elbax, tmp_path):
    taken, file, empty = tmp_path / "taken", tmp_path / "file", tmp_path / "empty"
    taken.mkdir()
    (taken / "mine").write_text("mine")
    file.write_text("mine")
    empty.mkdir()
    before = list(pushed.asked)
    assert "holds something already" in refused("pull", "me/digits", "--out", taken)
    assert "is no folder" in refused("pull", "me/digits", "--out", file)
    assert "no folder" in refused("pull", "me/digits", "--out", tmp_path / "a" / "b")
    assert pushed.asked == before
    assert tree(taken) == {"mine"}
    assert elbax("pull", "me/digits", "--out", empty)[0] == 0


def test_a_full_disk_leaves_nothing(pushed, refused, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("elbax.hub.pulling.shutil.copyfileobj", full)
    said = refused("pull", "me/digits", "--out", tmp_path / "run", status=1)
    assert "no space left on device; make room" in said
    assert nothing_in(tmp_path)


@pytest.mark.parametrize(
    "said",
    ["digits", "me/", "/digits", "me/digits/x", "me/di gits", "me/..", "me/a--b", "me/x.git",
     "../x", "me/digits@", "me/digits@a..b", "me/digits@../x", "me/" + 100 * "x",
     "hf://", "me/x\n", "https://huggingface.co/me/x"],
)  # fmt: skip
def test_a_name_out_of_shape_is_refused(hub, refused, tmp_path, said):
    line = refused("pull", "--out", tmp_path / "run", "--", said)
    assert "write org/name, or org/name@revision" in line
    assert hub.asked == []


@pytest.mark.parametrize(
    ("said", "repository", "revision"),
    [
        ("me/digits", "me/digits", "main"),
        ("hf://My-Org/a.b_c", "My-Org/a.b_c", "main"),
        ("me/digits@v1.0", "me/digits", "v1.0"),
        ("me/digits@refs/pr/3", "me/digits", "refs/pr/3"),
    ],
)
def test_a_name_is_read(said, repository, revision):
    assert hubs.place(said) == hubs.Place(repository, revision)


# --- the package of the hub --------------------------------------------------------------------


def test_without_the_package_one_line_says_what_to_install(refused, finished_run, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (("push", finished_run, "me/x"), ("pull", "me/x", "--out", "there")):
        assert "pip install 'elbax[hub]'" in refused(*words)
    assert leaves(package.load(finished_run))  # a path of this machine needs none
