"""Programs that run inside users' servers, in the Python of the user environment.

They are copied to where every user can read them, and import nothing of tljh.
"""

from __future__ import annotations
