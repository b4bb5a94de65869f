"""What tests of the configuration share: the real catalogue, and an installation to edit."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path

from tljh.settings.trait_catalogue import Catalogue

TLJH_CONFIG = Path(sys.executable).with_name("tljh-config")


@cache
def catalogue_bytes() -> bytes:
    """Return the classes and traits of what is installed with these tests; takes seconds, once."""
    from tljh.hub.trait_scan import build

    return json.dumps(build()).encode()


@cache
def real_catalogue() -> Catalogue:
    catalogue = Catalogue.parse(catalogue_bytes())
    assert catalogue is not None
    return catalogue


def make_installation(prefix: Path, text: str = "") -> Path:
    """Make a prefix with a configuration file and a catalogue; return the file."""
    (prefix / "config").mkdir()
    traits = prefix / "hub" / "share" / "tljh" / "traits.json"
    traits.parent.mkdir(parents=True)
    traits.write_bytes(catalogue_bytes())
    file = prefix / "config" / "config.yaml"
    file.write_text(text)
    file.chmod(0o600)
    return file
