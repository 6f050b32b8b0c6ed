from .any_run import fit as fit
from .any_run import load as load
from .any_run import resume as resume
from .cross_validating import CrossValidation as CrossValidation
from .cross_validating import cross_validate as cross_validate
from .ensemble import Ensemble as Ensemble
from .plan_file import is_ensemble as is_ensemble
from .plan_file import read_plan as read_plan
