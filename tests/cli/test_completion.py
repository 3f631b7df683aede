"""`elbax completion`: bash itself completes words by it; zsh and fish have the same words."""

import subprocess

import pytest

from elbax.cli.main import COMMANDS, main


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    from tests.command import called

    path = tmp_path_factory.mktemp("completion") / "elbax"
    path.write_text(called("completion", "bash")[0])
    return path


def completed(script, *words, cwd):
    """What bash offers for the last of some words."""
    code = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
        '$(complete -p elbax | sed "s/.*-F \\([^ ]*\\) .*/\\1/"); printf "%s\\n" "${COMPREPLY[@]}"'
    )
    line = ["bash", "--norc", "-c", code, "bash", script, "elbax", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=cwd, timeout=60)
    assert "syntax error" not in done.stderr
    return set(done.stdout.split())


def test_bash_completes_commands_options_and_what_they_may_be(script, tmp_path):
    (tmp_path / "runs").mkdir()

    def offered(*words):
        return completed(script, *words, cwd=tmp_path)

    assert offered("") == set(COMMANDS)
    assert offered("ev") == {"evaluate"}
    assert offered("train", "--latent") == {"--latent-dim"}
    assert offered("train", "--prior", "v") == {"vamp"}
    assert offered("train", "--recipe", "iw") == {"iwae"}
    assert offered("train", "mnist-5k", "--optimizer", "ada") == {"adam", "adamw", "adagrad"}
    assert offered("train", "mnist-") == {"mnist-5k"}
    assert "digits" in offered("train", "d")
    assert offered("sample", "ru") == {"runs"}
    assert offered("export", "runs", "--format", "") == {"onnx", "torch"}
    assert offered("completion", "z") == {"zsh"}


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_the_same_words(shell, capsys):
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in COMMANDS)
    for word in ("latent-dim", "vamp", "adagrad", "mnist-5k", "torch"):
        assert word in said


def test_another_shell_is_refused(refused):
    assert "give bash, zsh, fish" in refused("completion", "bsh")
