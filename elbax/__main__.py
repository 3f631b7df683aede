"""``python -m elbax``: the command line."""

import sys

from elbax.cli import main

if __name__ == "__main__":
    sys.exit(main())
