from .explanation import Explanation as Explanation
from .explanation import LayerSignal as LayerSignal
from .prediction import explain as explain
