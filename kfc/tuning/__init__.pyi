from .search import Search as Search
from .search import tune as tune
from .search_status import SearchStatus as SearchStatus
from .search_status import read_status as read_status
from .search_status import search_folder as search_folder
from .search_tables import rich_table as rich_table
from .space import Space as Space
