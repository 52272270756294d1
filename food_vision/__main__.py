"""``python -m food_vision`` is ``food-vision``."""

from food_vision.cli.main import main

if __name__ == "__main__":
    main()
