"""What mends a table that cannot be used as it is, in the words of whoever hands it over."""

import shlex
from typing import NamedTuple


class Mends(NamedTuple):
    """Ends of messages, with places for `str.format`; by default the command line's flags.

    Attributes:
        ignore: what leaves a column out: of its `name`, or of `piece`, NAME=ignore for a shell.
        marks: what has texts among numbers taken as missing: of the `marks`, for a shell.
        sentinel: what has a number taken as missing: of the `value`.
        unseen: what has categories that training did not see taken as missing.
    """

    ignore: str = "--columns {piece}"
    marks: str = "have them taken as missing with --missing-values {marks}"
    sentinel: str = "give --missing-values={value:g}"
    unseen: str = "--unseen missing takes these cells as empty"

    def leave_out(self, name: str) -> str:
        """What leaves the column of this name out."""
        return self.ignore.format(name=name, piece=shlex.quote(f"{name}=ignore"))


FLAGS = Mends()
