from . import store as store
from . import training_state as training_state
from .log_files import LogFiles as LogFiles
from .store import Checkpoint as Checkpoint
from .training_state import Progress as Progress
from .training_state import for_another_folder as for_another_folder
from .training_state import plain_state as plain_state
from .training_state import restore as restore
