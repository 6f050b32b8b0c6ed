"""Seeds of the layers of a network."""

from __future__ import annotations

import zlib

import numpy as np


def layer_seed(seed: int, name: str) -> int:
    """Returns the seed of one layer, so that layers of equal shape get different weights."""
    entropy = [seed, zlib.crc32(name.encode())]
    return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)
