from .raw_table import RawTable as RawTable
