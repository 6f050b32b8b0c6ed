from .report_page import Report as Report
from .report_page import report as report
