from .loss_facts import LossFacts as LossFacts
from .start import Start as Start
from .start import entry_of as entry_of
from .steps import Steps as Steps
from .subject import Subject as Subject
from .subject import quiet_copy as quiet_copy
