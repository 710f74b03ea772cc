"""What can go wrong in the world: one error type."""


class WorldError(ValueError):
    """A name that the world does not have, or a number outside its range.

    The message names the value and lists what is allowed.
    """
