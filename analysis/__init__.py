"""Volta's analysis: understand what a model does, without a browser and without drawing."""
