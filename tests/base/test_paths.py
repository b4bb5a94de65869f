"""The prefix of an installed command, and the variable that wins over it."""

from pathlib import Path

import pytest

from tljh.base.paths import Paths, paths_from_environment


@pytest.mark.parametrize(
    ("environment", "prefix"),
    [
        ("/srv/hub-server/versions/hub-0123abcd", "/srv/hub-server"),
        ("/usr", "/opt/tljh"),
        ("/opt/other/hub", "/opt/tljh"),
    ],
)
def test_prefix_comes_from_the_hub_environment_that_runs(environment: str, prefix: str) -> None:
    assert paths_from_environment({}, environment).prefix == Path(prefix)


def test_prefix_is_found_through_the_link_of_the_hub_environment(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    assert paths_from_environment({}, str(tmp_path / "hub")).prefix == tmp_path


def test_variable_wins_over_the_environment_that_runs() -> None:
    environ = {"TLJH_INSTALL_PREFIX": "/srv/elsewhere"}
    paths = paths_from_environment(environ, "/opt/tljh/versions/hub-0123abcd")
    assert paths.config_file == Path("/srv/elsewhere/config/config.yaml")


def test_all_is_below_the_prefix_except_traefik_and_units() -> None:
    paths = Paths(Path("/p"))
    assert paths.applied.directory == Path("/p/state/applied")
    assert paths.traefik_dir == Path("/var/lib/tljh-traefik")
