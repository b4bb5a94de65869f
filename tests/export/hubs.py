"""Hubs to export, of many kinds."""

from __future__ import annotations

from typing import Any

from tljh.base.paths import Paths
from tljh.export.hub_state import ExportedHub
from tljh.hub.configuration import build_hub_configuration
from tljh.operations.kubernetes_facts import resolve_files
from tljh.settings.load import load
from tljh.settings.root import Config

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMIIC-the-key\n-----END PRIVATE KEY-----\n"
FILES = {"/etc/ssl/hub.crt": CERTIFICATE.encode(), "/etc/ssl/hub.key": KEY.encode()}

CONFIGURATIONS = {
    "empty": "",
    "class with first use": """
users: {admin: [teacher], allowed: [ann, bob], banned: [mallory]}
limits: {memory: 1G, cpu: 0.5, disk: 5G}
user_environment: {default_app: classic}
pages: {announcement: "<b>Exam</b> at 9", login_text: Use your number}
""",
    "first use, open": "auth: {allow_all: true}\nusers: {admin: [teacher]}\n",
    "small memory": "limits: {memory: 512M, memory_guarantee: null}\n",
    "no limits": "limits: {memory: null, cpu: null}\n",
    "lab with GitHub": """
base_url: /hub/
auth:
  type: github
  session_days: 0.5
  token_days: 90
  GitHubOAuthenticator:
    client_id: abc
    client_secret: "s3cret-of-github"
    allowed_organizations: [my-lab]
    scope: ["read:org"]
https: {enabled: true, letsencrypt: {email: a@example.org, domains: [hub.example.org]}}
limits:
  memory: 2G
  groups: {staff: {memory: 8G, cpu: 4, disk: 50G}, guests: {memory: 512M}}
  users: {Ann@example.org: {memory: 16G}, 2bob: {memory: null, cpu: 0.05}}
  named_servers: 3
  concurrent_starts: 8
users:
  admin: [pi]
  allowed: [ann@example.org, 2bob]
  extra_user_groups: {staff: [pi, Ann@Example.org], guests: [2bob]}
""",
    "generic OAuth with groups from the provider": """
auth:
  type: generic-oauth
  GenericOAuthenticator:
    client_id: abc
    client_secret: s3cret
    authorize_url: https://id.example.org/a
    token_url: https://id.example.org/t
    userdata_url: https://id.example.org/u
    username_claim: preferred_username
    manage_groups: true
    auth_state_groups_key: oauth_user.groups
    allowed_groups: [course]
  Authenticator: {enable_auth_state: true}
CryptKeeper: {keys: ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]}
limits: {groups: {course: {memory: 3G}}, users: {ann: {memory: 4G}}}
""",
    "google": """
auth:
  type: oauthenticator.google.GoogleOAuthenticator
  GoogleOAuthenticator: {client_id: a, client_secret: b, hosted_domain: [example.org]}
""",
    "LDAP": """
auth:
  type: ldap
  LDAPAuthenticator:
    server_address: ldap.example.org
    lookup_dn: true
    lookup_dn_search_user: cn=reader
    lookup_dn_search_password: s3cret-of-ldap
    user_search_base: ou=people,dc=example,dc=org
    user_attribute: uid
    bind_dn_template: ["uid={username},ou=people,dc=example,dc=org"]
users: {allowed: [ann]}
""",
    "native": """
auth: {type: native, NativeAuthenticator: {open_signup: true}}
users: {admin: [root1]}
""",
    "PAM": "auth: {type: pam}\nusers: {allowed: [ann], accounts: existing}\n",
    "LTI": """
auth:
  type: lti13
  allow_all: true
  LTI13Authenticator:
    issuer: https://moodle.example.org
    authorize_url: https://moodle.example.org/auth
    jwks_endpoint: https://moodle.example.org/certs
    client_id: [c1]
""",
    "temporary": "auth: {type: tmp}\nservices: {cull: {users: true, max_age: 2h, timeout: 10m}}\n",
    "one password": """
auth:
  type: shared-password
  SharedPasswordAuthenticator:
    user_password: class-word-1
    admin_password: "admin-word-of-some-length-1234567890"
users: {admin: [teacher]}
""",
    "API only": "auth: {type: 'null'}\nhub: {mode: api-only}\n",
    "own certificate": """
https:
  enabled: true
  domains: [hub.example.org]
  tls: {cert: /etc/ssl/hub.crt, key: /etc/ssl/hub.key}
""",
    "internal certificate": "https: {enabled: true, mode: internal, domains: [hub.local]}\n",
    "certificate by DNS": """
https:
  enabled: true
  letsencrypt:
    email: a@example.org
    domains: ["*.example.org", hub.example.org]
    dns: {provider: rfc2136, credentials: /root/rfc.ini}
""",
    "test authority": """
https: {enabled: true, letsencrypt: {email: a@example.org, domains: [h.example.org], staging: true}}
""",
    "PostgreSQL": """
database: {url: "postgresql+psycopg://hub@db.example.org/hub", password_file: /root/password}
""",
    "PostgreSQL here": "database: {type: postgresql}\n",
    "shared folders": """
users:
  shared_folders: {course: pupils, Data.2: jupyterhub-users}
  extra_user_groups: {pupils: [ann, jörg]}
""",
    "a group of all": """
users: {groups: [video]}
limits: {memory: 1G, groups: {video: {memory: 3G}}}
""",
    "services and roles": """
services:
  board: {command: [python, /srv/board.py], port: 9100, scopes: ["list:users", "start:servers"]}
  url:
    url: "http://10.0.0.7:8000"
    groups: [tutors]
    oauth_client_allowed_scopes: ["read:servers!user"]
  under_score: {command: [true], port: 9101, admin_only: true}
  timer: {command: ["true"], scopes: ["read:servers"]}
roles:
  grader:
    description: grades
    scopes: ["list:users", "access:services!service=url", "start:servers"]
    users: [ann]
    groups: [tutors]
    services: [url]
  user: {scopes: [self]}
groups: {tutors: [ann], empty: []}
custom_scopes: {"custom:grades:read": {description: read grades}}
""",
    "braces": """
UserCreatingSpawner:
  environment:
    {GREETING: "{username} {}", NUMBER: 5, yes: "on", API_TOKEN: "s3cret-token", SIZE: 1e3}
SystemdSpawner: {default_shell: /bin/zsh, unit_extra_properties: {LimitNOFILE: "9000"}}
Spawner:
  {mem_limit: 512M, http_timeout: 90, args: ["--ServerApp.x={username}"], start_timeout: 200}
""",
    "traits": """
JupyterHub:
  active_server_limit: 20
  redirect_to_server: false
  shutdown_on_logout: true
  oauth_require_pkce: true
  template_vars: {announcement: hello}
  tornado_settings: {headers: {X-Frame: "1"}}
  implicit_spawn_seconds: 1.5
  log_level: 30
TraefikProxy: {check_route_timeout: 20}
Authenticator: {refresh_pre_spawn: true, auth_refresh_strict: true}
""",
    "other providers": """
auth:
  type: azuread
  AzureAdOAuthenticator: {client_id: a, client_secret: {file: /etc/ssl/hub.key}, tenant_id: t}
""",
    "gitlab": """
auth:
  type: local-gitlab
  GitLabOAuthenticator: {client_id: a, client_secret: b, gitlab_url: "https://git.example.org"}
""",
    "cilogon": """
auth:
  type: cilogon
  CILogonOAuthenticator:
    client_id: "cilogon:/client_id/1"
    client_secret: b
    allowed_idps: {"https://idp.example.org/shib": {username_derivation: {username_claim: eppn}}}
""",
    "LTI 1.1": """
auth:
  type: ltiauthenticator.lti11.auth.LTI11Authenticator
  allow_all: true
  LTI11Authenticator: {consumers: {s3cret-key: s3cret-of-lti}}
""",
    "class sections": """
JupyterHub:
  services: [{name: extra, url: "http://10.0.0.9:80", api_token: "s3cret-of-extra-0000000000000"}]
  load_roles: [{name: extra-role, scopes: ["list:users"], services: [extra], users: [ann]}]
  load_groups: {extra-group: {users: [Ann], properties: {a: 1}}}
  concurrent_spawn_limit: 17
  template_paths: [/srv/templates]
  bind_url: http://:9000/x
  cookie_max_age_days: 3
FirstUseAuthenticator: {min_password_length: 12, allowed_users: [carl]}
Authenticator: {admin_users: [dora]}
ConfigurableHTTPProxy: {auth_token: "s3cret-of-the-proxy-000000000000"}
Spawner: {cmd: [jupyter-labhub], options_form: "<b>x</b>", notebook_dir: "~/work", cpu_limit: 0.05}
users: {allowed: [ann], admin: [teacher]}
""",
    "odd names": """
users:
  admin: ["yes", "null", "o.o"]
  allowed: ["0123", "1e3", "ü b", "a@b.c", "~", "=x", "=1+1", "on", "0x10", "1_000"]
  extra_user_groups: {"no": ["1e3"], "y": ["ü b"], "on": ["0123"]}
groups: {"12:30": ["1e3"], "null": ["~"]}
limits: {users: {"ü b": {memory: 1G}, "0123": {memory: 2G}}}
""",
}


def make_hub(text: str, **more: Any) -> ExportedHub:
    """Return a hub with the settings of config.yaml; `more` are further facts."""
    config = load(text.encode())
    facts: dict[str, Any] = {
        "default_memory_bytes": 3 << 30,
        "cookie_secret": "ab" * 32,
        "files": FILES,
        "database_password": "s3cret-of-database" if config.database.url else None,
        "service_tokens": {"board": "s3cret-of-board-" + "0" * 20},
    }
    traits, from_files = resolve_files(
        lambda path: FILES[path].decode(), build_hub_configuration(config, Paths())
    )
    return ExportedHub(
        config=config,
        traits=traits,
        from_files=from_files,
        own_traits=build_hub_configuration(Config(), Paths()),
        **{**facts, **more},
    )
