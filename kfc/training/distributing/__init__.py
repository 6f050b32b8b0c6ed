"""Distributing: devices or processes that share each batch of a training.

The names that other folders may import are listed in `__init__.pyi`; each is imported when it
is used first.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
