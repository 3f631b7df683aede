"""Checkpoints: what is read back is what was saved, or it is not used."""

import errno
import json
import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from elbax.model import Batch, DiagonalNormal, NegativeELBO, Normal
from elbax.train import Best, CheckpointError, Checkpoints, State, fit, init_state
from tests.linear_gaussian import untrained

DATA = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)


def content(tree):
    keys = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    leaves = [jax.random.key_data(a) if keys(a) else a for a in jax.tree.leaves(tree)]
    return jax.tree.structure(tree), [(a.dtype, a.shape, np.asarray(a).tobytes()) for a in leaves]


def start():
    model = untrained(3, DiagonalNormal(2), Normal((3,), "shared"), seed=1)
    objective, optimizer = NegativeELBO(), optax.adam(1e-2)
    return model, objective, optimizer, init_state(model, objective, optimizer, jax.random.key(2))


@pytest.fixture(scope="module")
def states():
    """The states of a short run after 10, 20 and 30 steps, with a best one inside."""
    model, objective, optimizer, state = start()
    found = {}
    for report in fit(
        model,
        objective,
        Batch(jnp.asarray(DATA)),
        optimizer=optimizer,
        batch_size=8,
        steps=30,
        state=state,
        validation=Batch(jnp.asarray(DATA)),
        validate_every=10,
    ):
        found[report.step] = report.state
    return found


@pytest.fixture(scope="module")
def like():
    return start()[-1]


@pytest.fixture(scope="module")
def saved(states, tmp_path_factory):
    """A folder with the checkpoints of steps 10 and 20. To be copied, not to be touched."""
    folder = tmp_path_factory.mktemp("checkpoints") / "saved"
    with Checkpoints(folder) as checkpoints:
        for step in (10, 20):
            checkpoints.save(states[step], {"note": f"step {step}", "numbers": [step, None, 0.5]})
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoints")


def restored(folder, like):
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(like)


def files(folder, step):
    return sorted(path for path in (folder / str(step)).rglob("*") if path.is_file())


def test_a_state_comes_back_bit_for_bit_with_its_key_and_its_best(folder, states, like):
    found = restored(folder, like)
    assert found.warnings == []
    assert found.extra == {"note": "step 20", "numbers": [20, None, 0.5]}
    assert isinstance(found.state, State)
    assert isinstance(found.state.best, Best)
    assert content(found.state) == content(states[20])
    assert jnp.issubdtype(found.state.key.dtype, jax.dtypes.prng_key)
    draws = [jax.random.normal(state.key, (3,)) for state in (found.state, states[20])]
    assert np.array_equal(draws[0], draws[1])


def test_a_run_goes_on_from_a_checkpoint_to_the_same_bytes(folder, states, like):
    model, objective, optimizer, _ = start()
    state = restored(folder, like).state
    assert state is not None
    run = fit(
        model,
        objective,
        Batch(jnp.asarray(DATA)),
        optimizer=optimizer,
        batch_size=8,
        steps=30,
        state=state,
        validation=Batch(jnp.asarray(DATA)),
        validate_every=10,
    )
    assert content(list(run)[-1].state) == content(states[30])


def test_the_two_newest_are_kept(folder, states, like):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(states[30], {})
        checkpoints.save(states[30], {"again": True})  # the same step: nothing to do
    assert sorted(p.name for p in folder.iterdir() if p.name.isdigit()) == ["20", "30"]
    found = restored(folder, like)
    assert content(found.state) == content(states[30])
    assert found.extra == {}


def test_an_empty_folder_has_no_state(tmp_path, like):
    found = restored(tmp_path / "new", like)
    assert (found.state, found.extra, found.warnings) == (None, {}, [])


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "deleted":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        place = {"first": 0, "middle": len(content) // 2, "last": -1}[how]
        content[place] ^= 0x20
        path.write_bytes(content)


def test_a_damaged_file_is_never_believed(saved, states, like, tmp_path):
    # Each file of the newest, five ways. Whatever it was: the newest as it was saved, or the one
    # before with a warning; nothing else, and never an error.
    used = {10: 0, 20: 0}
    for number in range(len(files(saved, 20))):
        for how in ("first", "middle", "last", "truncated", "deleted"):
            folder = shutil.copytree(saved, tmp_path / "damaged")
            path = files(folder, 20)[number]
            if path.stat().st_size == 0 and how != "deleted":
                shutil.rmtree(folder)
                continue
            damage(path, how)
            found = restored(folder, like)
            step = 10 if found.warnings else 20
            place = f"{path.relative_to(folder)} {how}"
            assert content(found.state) == content(states[step]), place
            assert found.extra["note"] == f"step {step}", place
            if step == 10:
                assert len(found.warnings) == 1, place
                assert "checkpoint of step 20 is damaged" in found.warnings[0], place
                assert "\n" not in found.warnings[0]
                assert not (folder / "20").exists(), place
            used[step] += 1
            shutil.rmtree(folder)
    assert used == {10: sum(used.values()) - 1, 20: 1}  # the list of digests itself was deleted


def test_a_flipped_bit_anywhere_is_noticed(saved, states, like, tmp_path):
    rng = np.random.default_rng(1)
    for _ in range(20):
        folder = shutil.copytree(saved, tmp_path / "damaged")
        path = rng.choice([path for path in files(folder, 20) if path.stat().st_size])  # pyright: ignore[reportArgumentType]
        flipped = bytearray(path.read_bytes())
        place = rng.integers(len(flipped))
        flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        found = restored(folder, like)
        assert len(found.warnings) == 1, (path, place)
        assert content(found.state) == content(states[10]), (path, place)
        shutil.rmtree(folder)


def test_when_all_are_damaged_there_is_no_state_and_a_warning_for_each(folder, like):
    for step in (10, 20):
        for path in files(folder, step):
            damage(path, "truncated")
    found = restored(folder, like)
    assert found.state is None
    assert found.extra == {}
    assert [("step 20" in w, "step 10" in w) for w in found.warnings] == [
        (True, False),
        (False, True),
    ]


def test_a_missing_part_of_the_folder_is_noticed(folder, states, like):
    shutil.rmtree(folder / "20" / "state")
    found = restored(folder, like)
    assert len(found.warnings) == 1
    assert content(found.state) == content(states[10])


def test_what_a_killed_process_left_half_written_is_ignored(folder, states, like):
    half = shutil.copytree(folder / "20", folder / "30.orbax-checkpoint-tmp-123")
    damage(files(folder, half.name)[0], "truncated")
    found = restored(folder, like)
    assert found.warnings == []
    assert content(found.state) == content(states[20])
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(states[30], {})
    assert content(restored(folder, like).state) == content(states[30])


def test_a_checkpoint_of_another_model_is_refused_and_kept(folder, states, like):
    model = untrained(4, DiagonalNormal(2), Normal((4,), "shared"), seed=1)
    wider = init_state(model, NegativeELBO(), optax.adam(1e-2), jax.random.key(2))
    model = start()[0]
    other = init_state(model, NegativeELBO(), optax.sgd(1e-2), jax.random.key(2))
    for state in (wider, other):
        with pytest.raises(ValueError, match="of another model or optimiser"):
            restored(folder, state)
    assert content(restored(folder, like).state) == content(states[20])


def test_the_leaves_have_digests_of_their_own(folder, states, like):
    # A process killed just after Orbax was done leaves no digests of the files.
    (folder / "20" / "sha256.json").unlink()
    path = folder / "20" / "note" / "metadata"
    path.write_text(path.read_text().replace("step 20", "step 21"))
    found = restored(folder, like)
    assert "its note does not match its SHA-256" in found.warnings[0]
    assert content(found.state) == content(states[10])


def test_a_folder_that_cannot_be_written_is_an_error_and_loses_nothing(folder, states, like):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Checkpoints(folder) as checkpoints:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
        try:
            with pytest.raises(CheckpointError, match="could not save the checkpoint of step 30"):
                checkpoints.save(states[30], {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    found = restored(folder, like)
    assert found.warnings == []
    assert content(found.state) == content(states[20])


def test_a_link_or_a_pipe_is_no_part_of_a_checkpoint(saved, folder, states, like):
    shutil.rmtree(folder / "20")
    (folder / "20").symlink_to(saved / "20")
    found = restored(folder, like)
    assert content(found.state) == content(states[10])
    assert len(found.warnings) == 1
    assert "neither a file nor a folder" in found.warnings[0]
    assert files(saved, 20)  # the link is gone, and not what it led to
    assert not (folder / "20").exists()
    digests = folder / "10" / "sha256.json"
    digests.unlink()
    os.mkfifo(digests)
    assert restored(folder, like).state is None


def test_sums_of_files_elsewhere_are_not_looked_at(folder, states, like):
    digests = folder / "20" / "sha256.json"
    known = json.loads(digests.read_text())
    digests.write_text(json.dumps(known | {"/dev/zero": "0" * 64}))
    found = restored(folder, like)
    assert content(found.state) == content(states[10])
    assert len(found.warnings) == 1
    assert "/dev/zero is not there" in found.warnings[0]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EROFS, errno.EMFILE])
def test_one_that_cannot_be_reached_is_not_taken_for_damaged(
    number, folder, states, like, monkeypatch
):
    real = pathlib.Path.read_bytes

    def read_bytes(path):
        if path.is_relative_to(folder / "20"):
            raise OSError(number, os.strerror(number), str(path))
        return real(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", read_bytes)
    with pytest.raises(CheckpointError, match="could not read the checkpoint of step 20: "):
        restored(folder, like)
    monkeypatch.undo()
    found = restored(folder, like)
    assert found.warnings == []
    assert content(found.state) == content(states[20])


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, monkeypatch):
    def mkdir(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(CheckpointError, match=r"could not open the folder .*read-only"):
        Checkpoints(tmp_path / "run" / "checkpoints")


def test_the_folder_of_a_run_that_was_moved_away_is_not_made_anew(states, tmp_path):
    run, moved = tmp_path / "run", tmp_path / "moved"
    run.mkdir()
    with Checkpoints(run / "checkpoints") as checkpoints:
        checkpoints.save(states[10], {})
        run.rename(moved)
        with pytest.raises(CheckpointError, match=r"step 20: no such f"):
            checkpoints.save(states[20], {})
    with pytest.raises(CheckpointError, match="no such file"):
        Checkpoints(run / "checkpoints")
    assert not run.exists()
    assert tmp_path.exists()
    assert [path.name for path in (moved / "checkpoints").iterdir()] == ["10"]
