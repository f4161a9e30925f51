"""Types and shapes, checked at every call: the type checker that conftest's hook puts on each function when asked."""

from beartype import BeartypeConf, beartype

typed = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""An int does where a float is asked for, as for mypy."""
