"""A file, dict or name -> a checked, frozen `Spec`, and back."""

from kfc.spec.combinations import METRICS
from kfc.spec.loading import SpecLike, builtin_specs, builtin_text, dump, load
from kfc.spec.reading import read_value
from kfc.spec.schema import Hidden, Network, Spec
from kfc.spec.sources import OWN

__all__ = [
    "METRICS",
    "OWN",
    "Hidden",
    "Network",
    "Spec",
    "SpecLike",
    "builtin_specs",
    "builtin_text",
    "dump",
    "load",
    "read_value",
]
