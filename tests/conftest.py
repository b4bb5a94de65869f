"""What holds for all unit tests."""

from hypothesis import settings

# A deadline per example says more about what else the computer does than about the code.
settings.register_profile("tljh", deadline=None)
settings.load_profile("tljh")
