from . import philox as philox
