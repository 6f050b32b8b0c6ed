from .range_test import RateRange as RateRange
from .range_test import learning_rate_range as learning_rate_range
