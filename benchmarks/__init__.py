"""Measurements behind the decisions; each module runs by itself and prints its table."""
