from .figures import COLORS as COLORS
from .figures import drawing as drawing
from .figures import make_logarithmic as make_logarithmic
from .figures import name_axes as name_axes
from .report_page import Report as Report
from .report_page import report as report
from .report_page import report_on as report_on
from .standalone import standalone_svg as standalone_svg
