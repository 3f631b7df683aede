"""What is being done after the last step: said on a terminal, gone when it is done."""

import io

from elbax.report.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_what_is_being_done_and_keeps_no_line_of_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    console = Console(stream)
    console.doing("measuring the model on 10 test rows")
    console.doing("drawing bound, picture 6 of 13")
    console.settled()
    said = stream.getvalue()
    assert "measuring the model on 10 test rows" in said
    assert "drawing bound, picture 6 of 13" in said
    assert said.endswith("\x1b[2K")  # the line is erased
    assert "\n" not in said.partition("drawing")[0]


def test_a_file_is_told_nothing_of_it():
    stream = io.StringIO()
    console = Console(stream)
    console.doing("drawing bound")
    console.settled()
    assert stream.getvalue() == ""
