import tljh_missing  # noqa: F401
