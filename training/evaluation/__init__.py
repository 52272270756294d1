"""How good a model is: the figures, what they are made of, and the pages they are shown on."""
