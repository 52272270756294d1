"""The command line: ``food-vision``, or ``python -m food_vision``."""
