"""What systemd says of the properties that a drop-in gives to servers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tljh.base.errors import Place
from tljh.host.real import RealReader
from tljh.hub.unit_property_checks import explain_refused, find_refused_properties

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")


@pytest.mark.parametrize(
    ("name", "value"),
    [("UMaks", "0022"), ("UMask", "banana"), ("MemoryMax", "lots"), ("PrivateTmp", "maybe")],
)
def test_a_property_that_systemd_refuses_is_found_at_its_line(name, value):
    text = f"c.x = 1\nc.SystemdSpawner.unit_extra_properties = {{'{name}': '{value}'}}\n"
    c = {"SystemdSpawner": {"unit_extra_properties": {"Nice": "5", name: value}}}
    drop_ins = [(Path("/config/a.py"), text)]
    [finding] = find_refused_properties(RealReader(), c, ["Spawner", "SystemdSpawner"], drop_ins)
    assert name in finding.what
    assert finding.where == Place("/config/a.py", 2)


def test_properties_of_services_and_units_and_templates_are_accepted():
    properties = {
        "UMask": "0077",
        "MemoryHigh": "1G",
        "DeviceAllow": ["/dev/null rw", "/dev/zero r"],
        "BindPaths": "/srv/{USERNAME}:/data",
        "SupplementaryGroups": "video",
        "After": "network.target",
        "Description": "server of {USERNAME}",
    }
    assert explain_refused(RealReader(), properties) == {}
