from .verifying import Certificate as Certificate
from .verifying import prove as prove
