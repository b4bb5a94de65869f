"""Names on the cluster are those that KubeSpawner's own code makes."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given, settings, strategies

from tests.export.chart import find_python
from tljh.export.slugs import make_server_slug, make_slug

# KubeSpawner itself: its template in the place of the code that needs a cluster.
ASK = """
import json, sys
from types import SimpleNamespace
from kubespawner import KubeSpawner

class Spawner(KubeSpawner):
    def __init__(self, name):
        self.__dict__["user"] = SimpleNamespace(name=name, id=1)

    user, name, slug_scheme = property(lambda self: self.__dict__["user"]), "", "safe"
    namespace, pod_name, pvc_name = "hub", "", ""

    def _namespace_default(self):
        return "hub"

for line in sys.stdin:
    expand = Spawner(json.loads(line))._expand_user_properties
    print(json.dumps([expand("{username}"), expand("{user_server}")]), flush=True)
"""
ODD = "abcz019-_.@+=~ ABCjößéß漢😀\u0130"
names = strategies.one_of(
    strategies.text(ODD, min_size=1, max_size=70),
    strategies.text(strategies.sampled_from("ab1-"), min_size=1, max_size=60),
    strategies.text("a", min_size=40, max_size=55),
    strategies.text(strategies.characters(codec="utf-8", exclude_characters="\n"), max_size=60),
)


@pytest.fixture(scope="module")
def kubespawner() -> Iterator[subprocess.Popen[str]]:
    """Run KubeSpawner's code; it answers each name, one a line."""
    process = subprocess.Popen(
        [str(find_python()), "-c", ASK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.kill()


@settings(max_examples=3000)
@given(name=names)
def test_slugs_are_those_of_kubespawner(kubespawner: subprocess.Popen[str], name: str) -> None:
    assert kubespawner.stdin is not None and kubespawner.stdout is not None
    kubespawner.stdin.write(json.dumps(name) + "\n")
    kubespawner.stdin.flush()
    username, user_server = json.loads(kubespawner.stdout.readline())
    assert (make_slug(name), make_server_slug(name)) == (username, user_server)
    # A name of Kubernetes.
    claim = f"claim-{user_server}"
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", claim) and len(claim) <= 63
