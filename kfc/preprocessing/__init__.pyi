from .column_encoding import Code as Code
from .column_encoding import ColumnEncoding as ColumnEncoding
from .numeric import NumericScaling as NumericScaling
from .scaling_layers import TensorScaling as TensorScaling
from .scaling_layers import given_numbers as given_numbers
from .scaling_layers import is_learned_scaling as is_learned_scaling
from .table_encoding import TableEncoding as TableEncoding
from .target_scaling import TargetScaling as TargetScaling
