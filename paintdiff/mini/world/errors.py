"""The error type of the world."""


class WorldError(ValueError):
    """A name that the world does not have, or a number outside its range.

    The message names the value and lists what is allowed.
    """
