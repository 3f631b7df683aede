"""Commands one after the other in the process that a case of surroundings made: as far as they go.

After each stands its status, between marks, on both streams.
"""

import json
import sys
from pathlib import Path

MARK = "\x1e"


def main() -> None:
    """Runs the commands that a file of JSON names."""
    from elbax.cli import main as elbax

    for words in json.loads(Path(sys.argv[1]).read_text(encoding="ascii")):
        status = elbax(words)
        for stream in (sys.stdout, sys.stderr):
            stream.write(f"{MARK}{status}{MARK}\n")
            stream.flush()
        if status:
            break


if __name__ == "__main__":
    main()
