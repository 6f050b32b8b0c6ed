from .column_types import ColumnReport as ColumnReport
from .column_types import find_missing_markers as find_missing_markers
from .column_types import resolve_columns as resolve_columns
from .raw_table import RawTable as RawTable
from .typed_columns import typed_column as typed_column
