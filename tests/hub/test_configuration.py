"""JupyterHub's traits, derived from settings."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.hub.configuration import build_hub_configuration
from tljh.settings.derived import get_authenticator_class, uses_claims, uses_first_use, uses_native
from tljh.settings.load import load


def traits(text: str = ""):
    return build_hub_configuration(load(text.encode()), Paths())


def test_a_hub_without_settings_is_closed_to_names_that_were_not_added():
    all_traits = traits()
    assert all_traits["FirstUseAuthenticator"]["create_users"] is False
    assert all_traits["Authenticator"]["username_pattern"]


def test_first_use_by_any_of_its_names_is_the_one_with_claims():
    for name in (
        "firstuse",
        "FIRSTUSE",
        "FirstUseAuthenticator",
        "firstuseauthenticator.FirstUseAuthenticator",
        "firstuseauthenticator.firstuseauthenticator.FirstUseAuthenticator",
        "firstuseauthenticator:FirstUseAuthenticator",
        "tljh.hub.process.firstuse_authenticator.ClaimedFirstUseAuthenticator",
    ):
        config = load(f"auth: {{type: '{name}'}}".encode())
        assert uses_first_use(config), name
        assert uses_claims(config), name
        all_traits = build_hub_configuration(config, Paths())
        assert all_traits["JupyterHub"]["authenticator_class"].startswith(
            "tljh.hub.process.firstuse_authenticator."
        )
        assert all_traits["Authenticator"]["allow_all"] is False


def test_native_by_any_of_its_names_is_the_one_with_claims():
    for name in ("native", "Native", "nativeauthenticator:NativeAuthenticator"):
        config = load(f"auth: {{type: '{name}'}}".encode())
        assert uses_native(config), name
        assert uses_claims(config), name
        all_traits = build_hub_configuration(config, Paths())
        assert all_traits["JupyterHub"]["authenticator_class"].startswith(
            "tljh.hub.process.native_authenticator."
        )


def test_another_class_of_the_same_name_is_not_replaced_by_ours():
    config = load(b"auth: {type: mine.FirstUseAuthenticator}")
    assert not uses_claims(config)
    assert get_authenticator_class(config) == "mine.FirstUseAuthenticator"


def test_any_other_authenticator_is_taken_as_written():
    assert traits("auth: {type: github}")["JupyterHub"]["authenticator_class"] == "github"


def test_traits_below_auth_and_at_the_top_level_reach_their_classes():
    all_traits = traits(
        "auth:\n  type: dummy\n  DummyAuthenticator: {password: '00123'}\n"
        "JupyterHub: {active_server_limit: 50}\n"
    )
    assert all_traits["DummyAuthenticator"]["password"] == "00123"
    assert all_traits["JupyterHub"]["active_server_limit"] == 50
    assert all_traits["JupyterHub"]["hub_port"] == 15001


def test_the_culler_takes_its_flags_with_values_and_may_delete_users_only_if_asked():
    (service,) = traits()["JupyterHub"]["services"]
    assert "--timeout=3600" in service["command"]
    assert "--cull-users=false" in service["command"]
    (role,) = traits()["JupyterHub"]["load_roles"]
    assert "admin:users" not in role["scopes"]
    (role,) = traits("services: {cull: {users: true}}")["JupyterHub"]["load_roles"]
    assert "admin:users" in role["scopes"]


def test_groups_that_collaborate_may_open_the_servers_that_the_preset_names():
    text = (
        "groups: {team: [ann], pupils: [bob], 'tutors 1': [tea]}\n"
        "services: {cull: {enabled: false}}\n"
        "presets: {collaboration: {groups: {team: {}, pupils: {joined_by: ['tutors 1']}}}}"
    )
    roles = traits(text)["JupyterHub"]["load_roles"]
    assert [(role["scopes"], role["groups"]) for role in roles] == [
        (["access:servers!group=team"], ["team"]),
        (["access:servers!group=pupils"], ["tutors 1"]),
    ]
    assert len({role["name"] for role in roles}) == 2


def test_without_culling_there_is_no_service():
    assert "services" not in traits("services: {cull: {enabled: false}}")["JupyterHub"]


def test_limits_are_not_traits_so_that_changing_them_restarts_no_hub():
    assert traits("limits: {memory: 2GB}") == traits()


def test_https_is_what_the_hub_says_of_its_address():
    all_traits = traits("https: {enabled: true, tls: {cert: /c, key: /k}}")
    assert all_traits["JupyterHub"]["bind_url"] == "https://:443/"
    assert all_traits["TraefikProxy"]["traefik_entrypoint"] == "https"


def test_jupyterhub_reads_base_url_from_the_one_address_and_warns_of_nothing():
    hub = traits("base_url: /lab/")["JupyterHub"]
    assert hub["bind_url"] == "http://:80/lab/" and "base_url" not in hub


def test_named_servers_and_lifetimes_of_tokens_are_limited_where_that_is_set():
    hub = traits("limits: {named_servers: 2}\nauth: {token_days: 90}")["JupyterHub"]
    assert hub["allow_named_servers"] is True and hub["named_server_limit_per_user"] == 2
    assert hub["token_expires_in_max_seconds"] == 90 * 86_400
    hub = traits()["JupyterHub"]
    assert not {"allow_named_servers", "token_expires_in_max_seconds"} & set(hub)


def test_cookies_are_bound_to_the_hubs_host_where_each_user_has_another():
    def prefixed(text: str) -> object:
        return traits(text)["JupyterHub"].get("cookie_host_prefix_enabled")

    assert prefixed("") is None
    assert prefixed("JupyterHub: {subdomain_host: 'http://hub.test'}") is None
    assert prefixed("JupyterHub: {subdomain_host: 'https://hub.test'}") is True
    own = "JupyterHub: {subdomain_host: 'https://hub.test', cookie_host_prefix_enabled: false}"
    assert prefixed(own) is False


def test_with_internal_ssl_the_culler_shows_a_certificate():
    def culler(text):
        services = traits(text)["JupyterHub"]["services"]
        return next(each["command"] for each in services if each["name"] == "cull-idle")

    assert "--ssl-enabled=true" in culler("JupyterHub: {internal_ssl: true}")
    assert "--ssl-enabled=true" not in culler("JupyterHub: {internal_ssl: false}")


def test_commands_find_internal_ssl_whatever_section_sets_it():
    assert traits("TljhHub: {internal_ssl: true}")["JupyterHub"]["internal_ssl"] is True
