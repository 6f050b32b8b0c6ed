from .arrow_frames import is_table as is_table
from .arrow_frames import read_table as read_table
from .csv_files import read_csv as read_csv
from .parquet_files import read_parquet as read_parquet
from .raw_table import RawTable as RawTable
