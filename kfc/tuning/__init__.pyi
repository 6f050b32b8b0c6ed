from .progress_report import Standing as Standing
from .progress_report import search_folder as search_folder
from .progress_report import standing as standing
from .search import Search as Search
from .search import tune as tune
from .space import Space as Space
from .tables import rich_table as rich_table
