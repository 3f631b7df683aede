"""The command line. Importing it imports nothing heavy: ``elbax --help`` answers at once."""

from elbax.app.cli.main import main as main
