"""The command line. Importing it imports nothing heavy: ``elbax --help`` answers at once."""

from elbax.cli.main import main as main
