"""Integrations: one module or package for each framework, with an extra of the same name."""
