from .building import BINARY_LOSSES as BINARY_LOSSES
from .building import build as build
from .building import layer_seed as layer_seed
from .building import num_outputs as num_outputs
from .same_structure import check_architecture as check_architecture
