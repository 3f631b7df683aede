"""The errors of this room."""


class DataError(ValueError):
    """Data that cannot be used as they are: one line saying what, where, and the mend."""


class ColumnError(DataError):
    """One column that cannot be used as it is."""


class UnusableColumn(ColumnError):
    """One column that can only be left out."""


class UnseenCategory(ColumnError):
    """Categories that the training rows did not have."""
