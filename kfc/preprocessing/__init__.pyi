from .numeric import Scaling as Scaling
from .numeric import fit_scaling as fit_scaling
