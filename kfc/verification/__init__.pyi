from .verifying import Certificate as Certificate
from .verifying import verify as verify
