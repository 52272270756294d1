"""How the weights are made, measured and exported; the notebook imports it, the server never does."""
