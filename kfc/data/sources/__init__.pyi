from .idx import read_idx as read_idx
from .in_memory import aligned as aligned
from .in_memory import as_inputs as as_inputs
from .in_memory import from_memory as from_memory
from .name_lists import join_names as join_names
from .numpy_files import arrays_in as arrays_in
from .numpy_files import read_npy as read_npy
from .numpy_files import read_npz as read_npz
