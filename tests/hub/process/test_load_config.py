"""Drop-ins: loaded in order, and wrong ones named with their line."""

from __future__ import annotations

import json

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.hub.config_check import check_configuration
from tljh.hub.process.authenticator_choice import choose_authenticator
from tljh.hub.process.load_config import make_configuration


@pytest.fixture
def applied(tmp_path, monkeypatch):
    (tmp_path / "jupyterhub_config.d").mkdir()
    (tmp_path / "hub.json").write_text(json.dumps({"Spawner": {"start_timeout": 60}}))
    monkeypatch.setenv("TLJH_APPLIED", str(tmp_path))
    return tmp_path


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


def drop_in(applied, name, text):
    (applied / "jupyterhub_config.d" / name).write_text(text)


def test_drop_ins_come_last_and_in_the_order_of_their_names(applied, paths):
    drop_in(applied, "20-b.py", "c.Spawner.start_timeout += 1\n")
    drop_in(applied, "10-a.py", "c.Spawner.start_timeout = 100\n")
    assert make_configuration(paths).Spawner.start_timeout == 101


def test_a_syntax_error_is_named_with_file_and_line(applied, paths):
    drop_in(applied, "bad.py", "c.Spawner.debug = True\nc.Spawner.cmd = [\n")
    with pytest.raises(TljhError) as caught:
        make_configuration(paths)
    (finding,) = caught.value.findings
    assert finding.where
    assert finding.where.path.endswith("bad.py")
    assert finding.where.line == 2


def test_an_exception_is_named_with_the_line_of_the_drop_in(applied, paths):
    drop_in(applied, "bad.py", "import json\n\njson.loads('{')\n")
    with pytest.raises(TljhError, match="JSONDecodeError") as caught:
        make_configuration(paths)
    assert caught.value.findings[0].where.line == 3


def test_a_module_that_is_missing_is_added_by_its_package(applied, paths):
    drop_in(applied, "bad.py", "import no_such_thing.inner\n")
    with pytest.raises(TljhError) as failed:
        make_configuration(paths)
    (finding,) = failed.value.findings
    assert finding.fix
    assert finding.fix.endswith("sudo tljh-config add-item hub.packages no-such-thing")


def test_a_drop_in_that_writes_next_to_itself_is_sent_to_another_directory(applied, paths):
    drop_in(applied, "bad.py", "raise OSError(30, 'Read-only file system', __file__)\n")
    with pytest.raises(TljhError) as failed:
        make_configuration(paths)
    (finding,) = failed.value.findings
    assert "write to another one" in (finding.fix or "")


def test_a_drop_in_has_the_admins_path_in_file_and_in_every_message(applied, paths):
    drop_in(applied, "where.py", "c.Spawner.environment = {'F': __file__}\n")
    own = paths.config_dir / "jupyterhub_config.d"
    assert make_configuration(paths).Spawner.environment["F"] == str(own / "where.py")
    drop_in(applied, "where.py", "c.Spawner.start_timeuot = 1\n")
    _, (finding,) = check_configuration(paths)
    assert str(finding.where) == f"{own / 'where.py'}, line 1"
    drop_in(applied, "where.py", "x = 1\nraise ValueError(__file__)\n")
    (finding,), _ = check_configuration(paths)
    assert str(applied / "jupyterhub_config.d") not in finding.as_text()
    assert str(finding.where) == f"{own / 'where.py'}, line 2"


def test_a_drop_in_loads_the_applied_copy_of_another_one(applied, paths):
    (applied / "jupyterhub_config.d" / "parts").mkdir()
    drop_in(applied, "parts/more.py", "c.Spawner.debug = True\nload_subconfig('last.py')\n")
    drop_in(applied, "parts/last.py", "c.Spawner.cmd = [__file__]\n")
    drop_in(applied, "own.py", "load_subconfig('parts/more.py')\n")
    own = paths.config_dir / "jupyterhub_config.d"
    c = make_configuration(paths)
    assert c.Spawner.debug is True
    assert c.Spawner.cmd == [str(own / "parts" / "last.py")]
    drop_in(applied, "parts/last.py", "x = 1\n1 / 0\n")
    with pytest.raises(TljhError, match="ZeroDivisionError") as caught:
        make_configuration(paths)
    assert str(caught.value.findings[0].where) == f"{own / 'parts' / 'last.py'}, line 2"


def test_a_file_in_place_of_a_secret_is_read_when_the_hub_loads(applied, paths, tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    value = {"GitHubOAuthenticator": {"client_secret": {"file": str(tmp_path / "secret")}}}
    (applied / "hub.json").write_text(json.dumps(value))
    assert make_configuration(paths).GitHubOAuthenticator.client_secret == "hunter2"


def test_a_class_that_cannot_be_imported_is_a_finding(applied, paths):
    drop_in(applied, "bad.py", "c.JupyterHub.authenticator_class = 'no.such.Thing'\n")
    (finding,) = [f for f in check_configuration(paths)[0] if "authenticator_class" in f.what]
    assert "no.such.Thing" in finding.what


def test_a_value_that_a_trait_cannot_take_is_a_finding_in_its_own_words(applied, paths):
    drop_in(applied, "bad.py", "c.Spawner.start_timeout = 'soon'\n")
    (finding,), _ = check_configuration(paths)
    assert finding.what == "Spawner.start_timeout has an invalid value"
    assert "int" in (finding.why or "")


def test_a_sound_configuration_has_no_findings(applied, paths):
    text = 'c.Spawner.debug = True\nc.JupyterHub.services.append({"name": "x"})\n'
    drop_in(applied, "fine.py", text)
    assert check_configuration(paths) == ([], [])


def test_routes_whose_check_needs_a_running_hub_are_no_mistake(applied, paths):
    hub = {"proxy_class": "tljh.hub.process.traefik_routes.RoutesProxy"}
    traits = {"JupyterHub": hub, "Proxy": {"extra_routes": {"/": "http://127.0.0.1:9000"}}}
    (applied / "hub.json").write_text(json.dumps(traits))
    assert check_configuration(paths) == ([], [])


def test_the_generated_password_of_traefiks_api_is_not_taken_for_a_plugins(applied, paths):
    paths.state_dir.mkdir()
    (paths.state_dir / "traefik-api.secret").write_text("s3cret\n")
    assert check_configuration(paths) == ([], [])
    assert make_configuration(paths).TraefikProxy.traefik_api_password == "s3cret"


def test_a_misspelled_name_in_a_drop_in_is_reported_with_its_line_and_stops_nothing(applied, paths):
    drop_in(applied, "own.py", "c.Spawner.debug = True\nc.Spawner.start_timeuot = 90\n")
    wrong, (finding,) = check_configuration(paths)
    assert wrong == []
    assert str(finding.where).endswith("own.py, line 2")
    assert finding.fix == "did you mean Spawner.start_timeout?"


def test_a_listed_name_that_the_authenticator_never_accepts_is_a_finding(applied, paths):
    module = applied / "picky.py"
    module.write_text(
        "from jupyterhub.auth import DummyAuthenticator\n"
        "class Picky(DummyAuthenticator):\n"
        "    def validate_username(self, name):\n"
        "        return 'x' not in name and super().validate_username(name)\n"
    )
    drop_in(
        applied,
        "picky.py",
        f"import sys\nsys.path.insert(0, {str(applied)!r})\n"
        "from picky import Picky\n"
        "c.JupyterHub.authenticator_class = Picky\n"
        "c.Authenticator.allowed_users = {'anna', 'max'}\n",
    )
    (finding,), _ = check_configuration(paths)
    assert finding.what == "Picky refuses the login name 'max'"


def test_names_of_two_words_are_fine_for_authenticators_with_passwords(applied, paths):
    drop_in(applied, "names.py", "c.Authenticator.allowed_users = {'two words'}\n")
    for name in (
        "firstuse_authenticator.ClaimedFirstUseAuthenticator",
        "native_authenticator.ClaimedNativeAuthenticator",
    ):
        drop_in(
            applied, "class.py", f"c.JupyterHub.authenticator_class = 'tljh.hub.process.{name}'\n"
        )
        assert check_configuration(paths) == ([], [])


OURS = {"JupyterHub": {"authenticator_class": "ours"}, "Authenticator": {"allow_all": False}}


@pytest.mark.parametrize(
    ("more", "allow_all"),
    [
        ("", False),
        ("c.JupyterHub.authenticator_class = 'tmpauthenticator.TmpAuthenticator'", True),
        ("c.JupyterHub.authenticator_class = 'dummy'", True),
        (
            "c.JupyterHub.authenticator_class = 'dummy'\nc.Authenticator.allowed_users = {'a'}",
            False,
        ),
        ("c.JupyterHub.authenticator_class = 'github'", False),
        ("c.JupyterHub.authenticator_class = 'FIRSTUSE'", False),
        (
            "from firstuseauthenticator import FirstUseAuthenticator\n"
            "class Mine(FirstUseAuthenticator): pass\n"
            "c.JupyterHub.authenticator_class = Mine",
            False,
        ),
        ("c.JupyterHub.authenticator_class = 'mine.Own'", None),
        (
            "c.JupyterHub.authenticator_class = 'mine.Own'\nc.Authenticator.allow_all = True",
            True,
        ),
    ],
)
def test_a_drop_ins_authenticator_has_its_own_default_of_allow_all(applied, paths, more, allow_all):
    (applied / "hub.json").write_text(json.dumps(OURS))
    drop_in(applied, "login.py", more)
    assert make_configuration(paths).Authenticator.get("allow_all") == allow_all


@pytest.mark.parametrize(
    ("chosen", "ours"),
    [
        ("'firstuse'", "ClaimedFirstUseAuthenticator"),
        ("'FIRSTUSE'", "ClaimedFirstUseAuthenticator"),
        ("'firstuseauthenticator.FirstUseAuthenticator'", "ClaimedFirstUseAuthenticator"),
        (
            "__import__('firstuseauthenticator').FirstUseAuthenticator",
            "ClaimedFirstUseAuthenticator",
        ),
        ("'Native'", "ClaimedNativeAuthenticator"),
        ("'nativeauthenticator.NativeAuthenticator'", "ClaimedNativeAuthenticator"),
        ("'dummy'", "DummyAuthenticator"),
    ],
)
def test_a_drop_ins_choice_is_replaced_by_tljhs_adapter(applied, paths, chosen, ours):
    drop_in(applied, "login.py", f"c.JupyterHub.authenticator_class = {chosen}\n")
    assert choose_authenticator(make_configuration(paths)).__name__ == ours


FILLED = {
    "JupyterHub": {
        "authenticator_class": "firstuse",
        "services": [{"name": "cull-idle", "command": ["cull"]}],
        "load_roles": [{"name": "idle-culler", "services": ["cull-idle"]}],
    },
    "Authenticator": {"allowed_users": ["ann"], "admin_users": ["boss"]},
    "Spawner": {"environment": {"CONDA_PREFIX": "/user"}},
    "SystemdSpawner": {"extra_paths": ["/user/bin"]},
}


@pytest.mark.parametrize(
    ("text", "section", "trait", "kept"),
    [
        ("c.JupyterHub.load_roles = []\nc.JupyterHub.load_roles = [{'name': 'mine'}]",
         "JupyterHub", "load_roles", {"name": "idle-culler", "services": ["cull-idle"]}),
        ("c.JupyterHub.services = [{'name': 'mine'}]", "JupyterHub", "services",
         {"name": "cull-idle", "command": ["cull"]}),
        ("c.Spawner.environment = {'A': 'b'}", "Spawner", "environment", "CONDA_PREFIX"),
        ("c.SystemdSpawner.environment.update({'A': 'b'})", "SystemdSpawner", "environment",
         "CONDA_PREFIX"),
        ("c.UserCreatingSpawner.extra_paths = ['/cuda']", "UserCreatingSpawner", "extra_paths",
         "/user/bin"),
        ("c.Authenticator.allowed_users = {'zoe'}", "Authenticator", "allowed_users", "ann"),
        ("c.Authenticator.admin_users.add('zoe')", "Authenticator", "admin_users", "boss"),
        ("c.FirstUseAuthenticator.admin_users = {'zoe'}", "FirstUseAuthenticator", "admin_users",
         "boss"),
        ("c.Authenticator.whitelist = {'zoe'}", "Authenticator", "allowed_users", "ann"),
        ("c.ClaimedFirstUseAuthenticator.whitelist = {'zoe'}", "ClaimedFirstUseAuthenticator",
         "allowed_users", "ann"),
    ],
)  # fmt: skip
def test_a_drop_in_loses_none_of_ours(applied, paths, text, section, trait, kept):
    (applied / "hub.json").write_text(json.dumps(FILLED))
    drop_in(applied, "mine.py", text)
    value = make_configuration(paths)[section][trait]
    assert kept in value
    assert len(value) > 1


@pytest.mark.parametrize(
    "text",
    [
        "c.DummyAuthenticator.admin_users = {'mallory'}",
        "c.NativeAuthenticator.admin_users = {'mallory'}",
        "c.GitHubOAuthenticator.admin_users = {'mallory'}",
        "c.LocalAuthenticator.admin_users = {'mallory'}",
    ],
)
def test_a_list_of_a_class_that_is_not_in_use_counts_nowhere(applied, paths, text):
    (applied / "hub.json").write_text(json.dumps(FILLED))
    drop_in(applied, "mine.py", text)
    c = make_configuration(paths)
    assert set(c.Authenticator.admin_users) == {"boss"}
    assert "admin_users" not in c.FirstUseAuthenticator


def test_a_list_of_the_class_that_a_drop_in_chooses_counts(applied, paths):
    (applied / "hub.json").write_text(json.dumps(FILLED))
    text = "c.JupyterHub.authenticator_class = 'dummy'\nc.DummyAuthenticator.admin_users = {'zoe'}"
    drop_in(applied, "mine.py", text)
    assert make_configuration(paths).DummyAuthenticator.admin_users == {"zoe", "boss"}


def test_a_drop_in_that_discards_a_name_is_obeyed(applied, paths):
    (applied / "hub.json").write_text(json.dumps(FILLED))
    drop_in(applied, "mine.py", "c.Authenticator.admin_users = set()")
    assert make_configuration(paths).Authenticator.admin_users == set()


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("c.JupyterHub.ssl_cert = '/etc/x.pem'", "JupyterHub.ssl_cert", "https.tls.cert"),
        ("c.JupyterHub.port = 443", "JupyterHub.port", "http.port"),
        ("c.JupyterHub.base_url = '/lab/'", "JupyterHub.base_url", "base_url"),
        ("c.JupyterHub.reset_db = True", "JupyterHub.reset_db", "remove it"),
        ("c.JupyterHub.generate_certs = True", "JupyterHub.generate_certs", "remove it"),
        ("c.JupyterHub.show_config = True", "JupyterHub.show_config", "remove it"),
        ("c.Application.show_config = True", "Application.show_config", "remove it"),
        ("c.JupyterHub.generate_config = True", "JupyterHub.generate_config", "remove it"),
    ],
)
def test_a_trait_that_tljh_sets_is_refused_with_its_line_and_setting(
    applied, paths, text, what, fix
):
    drop_in(applied, "mine.py", f"# a comment on {what}\n\n{text}\n")
    (finding,), _ = check_configuration(paths)
    assert what in finding.what
    assert finding.where.line == 3
    assert fix in finding.fix


@pytest.mark.parametrize(
    ("section", "fix"),
    [
        ("Jupyterhub", "did you mean c.JupyterHub?"),
        ("NotebookApp", "/etc/jupyter/"),
        ("ServerApp", "/etc/jupyter/"),
        ("InteractiveShell", "/etc/ipython/"),
        ("Nothing", "hub.packages"),
    ],
)
def test_a_section_that_no_class_has_is_a_warning_with_its_place(applied, paths, section, fix):
    drop_in(applied, "mine.py", f"x = 1\nc.{section}.anything = True\n")
    errors, (warning,) = check_configuration(paths)
    assert errors == []
    assert section in warning.what
    assert warning.where.line == 2
    assert fix in warning.fix


def test_a_drop_in_that_empties_a_list_of_ours_is_warned_of_the_consequence(applied, paths):
    (applied / "hub.json").write_text(json.dumps(FILLED))
    drop_in(applied, "mine.py", "c.SystemdSpawner.extra_paths = []\n")
    _, warnings = check_configuration(paths)
    (warning,) = [each for each in warnings if "extra_paths" in each.what]
    assert "servers find no python" in warning.why
    assert warning.where.line == 1


def test_a_template_that_jinja_cannot_parse_is_refused_with_its_line(applied, paths, tmp_path):
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "login.html").write_text("{% extends 'page.html' %}\n{% endblok %}\n")
    drop_in(applied, "pages.py", f"c.JupyterHub.template_paths = ['{templates}']\n")
    (finding,), _ = check_configuration(paths)
    assert str(finding.where) == f"{templates / 'login.html'}, line 2"
    assert "endblok" in (finding.why or "")
    (templates / "login.html").write_text("{% extends 'templates/login.html' %}\n")
    assert check_configuration(paths) == ([], [])


ALIASES = [
    "h = c.JupyterHub\nh.port = 443",
    "h = c.JupyterHub\nsetattr(h, 'port', 443)",
    "setattr(c.JupyterHub, 'port', 443)\n",
    "x = 1\nc['JupyterHub']['port'] = 443",
    "\nc.update({'JupyterHub': {'port': 443}})",
    "from traitlets.config import Config\nc.merge(Config(JupyterHub={'port': 443}))",
    "from traitlets.config import Config\nc.JupyterHub = Config(port=443)",
    "for name in ('JupyterHub',):\n    c[name].port = 443",
    "\nget_config().JupyterHub.port = 443",
]


@pytest.mark.parametrize("text", ALIASES)
def test_a_trait_is_refused_by_whatever_name_a_drop_in_sets_it(applied, paths, text):
    (applied / "hub.json").write_text(json.dumps(FILLED))
    drop_in(applied, "a.py", "c.JupyterHub.shutdown_on_logout = True\nport = 443\n")
    drop_in(applied, "mine.py", text)
    errors, _ = check_configuration(paths)
    (finding,) = [error for error in errors if "JupyterHub.port" in error.what]
    assert finding.what == "a drop-in sets JupyterHub.port, which cannot be set there"
    assert finding.where.path.endswith("mine.py")
    assert finding.where.line == (1 if text.startswith("setattr") else 2)
    # Nothing of tljh's in the section is lost.
    assert make_configuration(paths).JupyterHub.services[-1]["name"] == "cull-idle"


def test_a_trait_whose_line_cannot_be_found_is_named_with_its_drop_in(applied, paths):
    drop_in(applied, "mine.py", "setattr(c.JupyterHub, 'po' + 'rt', 443)\n")
    (finding,), _ = check_configuration(paths)
    assert "a drop-in sets JupyterHub.port" in finding.what
    assert finding.where.path.endswith("mine.py") and finding.where.line is None


def test_a_trait_that_a_drop_in_only_reads_is_not_refused(applied, paths):
    drop_in(applied, "mine.py", "port = c.JupyterHub.port\nif c.JupyterHub.ssl_key: pass\n")
    assert check_configuration(paths) == ([], [])


def test_names_that_do_nothing_are_found_by_whatever_name_they_are_set(applied, paths):
    text = "s = c.Spawner\ns.start_timout = 5\nn = c.NotebookApp\nn.port = 5\n"
    drop_in(applied, "mine.py", text)
    _, warnings = check_configuration(paths)
    assert [(warning.where.line, warning.what.split(":")[0]) for warning in warnings] == [
        (2, "LocalProcessSpawner has no setting Spawner.start_timout"),
        (4, "the hub has no class NotebookApp"),
    ]


CATALOGUE = {
    "DockerSpawner": {"bases": ["Spawner", "LoggingConfigurable"]},
    "LDAPAuthenticator": {"bases": ["Authenticator"]},
    "LocalAuthenticator": {"bases": ["Authenticator"]},
    "Spawner": {"bases": []},
}


def test_a_section_of_a_class_that_is_not_in_use_is_a_warning_with_its_line(applied, paths):
    traits = paths.hub_files.traits
    traits.parent.mkdir(parents=True)
    traits.write_text(json.dumps({"version": 1, "authenticators": {}, "classes": CATALOGUE}))
    paths.config_file.parent.mkdir(parents=True)
    paths.config_file.write_text("auth:\n  LDAPAuthenticator:\n    server_port: 636\n")
    drop_in(applied, "mine.py", "d = c.DockerSpawner\nd.image = 'x'\nc.Spawner.debug = True\n")
    errors, (docker, ldap) = check_configuration(paths)
    assert errors == []
    assert docker.what == "the section DockerSpawner does nothing: the hub uses LocalProcessSpawner"
    assert docker.where.path.endswith("mine.py") and docker.where.line == 2
    assert "JupyterHub.spawner_class" in docker.fix
    assert "LDAPAuthenticator does nothing" in ldap.what
    assert ldap.where.path == str(paths.config_file) and ldap.where.line == 2
    base = "LocalProcessSpawner"
    wrapper = f"from jupyterhub.spawner import {base}\nclass WrapSpawner({base}): pass\n"
    choice = "c.JupyterHub.spawner_class = WrapSpawner\nc.DockerSpawner.image = 'x'\n"
    drop_in(applied, "mine.py", wrapper + choice)
    errors, warnings = check_configuration(paths)
    assert (errors, [warning.where.path for warning in warnings]) == ([], [ldap.where.path])
