"""A source or arrays -> checked, split rows with class names, and a fitted scaling."""

from kfc.data.prepared import Prepared, prepare, read_source
from kfc.data.rows import Rows, Source
from kfc.data.scaling import Scaling
from kfc.data.task import Task

__all__ = ["Prepared", "Rows", "Scaling", "Source", "Task", "prepare", "read_source"]
