from .script import eject as eject
