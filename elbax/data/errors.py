"""The errors of this room, and those of others that say of data that they are damaged."""

import struct
import zipfile
import zlib

# What zipfile raises where an archive, or a list of what is in it, is damaged. (A password is a
# RuntimeError, of which NotImplementedError is one: that an archive asks for a zip of the future.)
DAMAGED_ZIP = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError),
    *(NotImplementedError, UnicodeDecodeError),
)


class DataError(ValueError):
    """Data that cannot be used as they are: one line saying what, where, and the mend."""


class ColumnError(DataError):
    """One column that cannot be used as it is."""


class UnusableColumn(ColumnError):
    """One column that can only be left out."""


class UnseenCategory(ColumnError):
    """Categories that the training rows did not have."""
