from .diagnosis import Diagnosis as Diagnosis
from .doctoring import doctor as doctor
from .explanations import background as background
from .explanations import page_address as page_address
from .explanations import sections as sections
from .explanations import when as when
from .of_spec import cure_spec as cure_spec
from .of_spec import diagnose_spec as diagnose_spec
