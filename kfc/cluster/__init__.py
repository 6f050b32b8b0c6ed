"""The nodes of a Ray cluster: joined, given jobs, and their files brought back.

The names that other folders may import are listed in `__init__.pyi`; each is imported when it
is used first.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
