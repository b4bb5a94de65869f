"""New passwords in the file of the first-use authenticator."""

from __future__ import annotations

import json

from tljh.base.progress import SilentProgress
from tljh.engine.resource import Record
from tljh.host.fake import FakeHost
from tljh.host.password_store import read_hash, store_hash
from tljh.users.changed_passwords import NewPassword


def test_a_new_password_replaces_the_old_one_until_it_is_rolled_back(tmp_path):
    path = tmp_path / "passwords.dbm"
    host = FakeHost()
    for old in (None, b"old"):
        store_hash(path, "ann", old)
        resource = NewPassword(path, "ann", b"new")
        record: Record = json.loads(json.dumps(resource.before(host)))
        assert resource.difference(host)
        resource.apply(host, SilentProgress())
        assert read_hash(path, "ann") == b"new"
        assert resource.difference(host) is None
        NewPassword.revert(host, record)
        assert read_hash(path, "ann") == old
