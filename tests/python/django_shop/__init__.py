"""A small application of Django that the tests use."""
