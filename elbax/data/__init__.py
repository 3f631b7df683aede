"""From where does x come? Named data sets, files, folders of images, arrays; splits; inspection."""

from elbax.data.columns import Column as Column
from elbax.data.errors import DataError as DataError
from elbax.data.inspect import Description as Description
from elbax.data.inspect import check_support as check_support
from elbax.data.inspect import choose_likelihood as choose_likelihood
from elbax.data.inspect import describe as describe
from elbax.data.inspect import describe_columns as describe_columns
from elbax.data.named import DatasetEntry as DatasetEntry
from elbax.data.named import available as available
from elbax.data.source import Dataset as Dataset
from elbax.data.source import Split as Split
from elbax.data.source import load as load
