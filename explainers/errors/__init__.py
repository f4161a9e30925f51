"""What can go wrong, said so that the person who asked can go on."""


class SightglassError(ValueError):
    """A sentence that names the thing, the limit and the way out; safe to show to anybody."""


class PictureError(SightglassError):
    """The picture cannot be read, or is beyond a limit."""


class ModelError(SightglassError):
    """The network cannot be loaded: absent, gated, no network, too large, or not a classifier."""


class QuestionError(SightglassError):
    """The question is off: unknown method, class or option, or a value out of bounds."""


class DoesNotApply(SightglassError):  # noqa: N818 - it is a statement about a network, not a mishap
    """The method has no meaning for this network; the sentence says why and what does apply."""


class Stopped(SightglassError):  # noqa: N818 - the visitor's own wish
    """The person who asked pressed stop."""
