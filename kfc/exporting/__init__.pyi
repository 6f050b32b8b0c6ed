from . import certificate as certificate
from .export_run import export as export
from .formats import Exporter as Exporter
from .loaded_export import Export as Export
from .loaded_export import load_export as load_export
from .versions import is_export as is_export
