"""What runs inside people's own servers, in the shared environment's Python: no part of the hub.

Files of this package are copied to where everybody can read them. They import nothing of tljh.
"""

from __future__ import annotations
