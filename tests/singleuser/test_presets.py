"""What presets switch on for members of groups, and nbgrader's own configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from traitlets.config import Config as JupyterConfig
from traitlets.config import PyFileConfigLoader

from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent, File
from tljh.settings.load import load
from tljh.singleuser.inside import __file__ as inside
from tljh.singleuser.jupyter_configuration import build_jupyter_resources
from tljh.singleuser.presets import format_config_path

PATHS = Paths()
FORMGRADER = "nbgrader.server_extensions.formgrader"
LAB_FORMGRADER = "@jupyter/nbgrader:formgrader"
COURSES = """
users: {extra_user_groups: {teachers: [tea], chem: [ted]}}
presets: {nbgrader: {courses: {physics: {instructors: teachers}, chemistry: {instructors: chem}}}}
"""


def build(text: str, groups: tuple[str, ...] = ()) -> tuple[dict[str, object], list[str]]:
    """Return the content of JSON files, and what is absent, by path below the configuration."""
    resources = build_jupyter_resources(load(text.encode()), PATHS, groups)
    files = {
        str(item.path.relative_to(PATHS.jupyter)): json.loads(item.data)
        for item in resources
        if isinstance(item, File) and "json" in item.path.suffix
    }
    absent = [i.path.relative_to(PATHS.jupyter) for i in resources if isinstance(i, Absent)]
    return files, list(map(str, absent))


def test_the_formgrader_is_on_for_instructors_only():
    files, _ = build(COURSES)
    extensions = files["jupyter_server_config.d/tljh.json"]["ServerApp"]["jpserver_extensions"]
    assert extensions[FORMGRADER] is False
    assert files["labconfig/page_config.json"]["disabledExtensions"][LAB_FORMGRADER] is True
    for group in ("teachers", "chem"):
        own = files[f"groups/{group}/jupyter_server_config.d/tljh.json"]["ServerApp"]
        assert own["jpserver_extensions"] == {FORMGRADER: True}
        page = files[f"groups/{group}/labconfig/page_config.json"]["disabledExtensions"]
        assert page[LAB_FORMGRADER] is False
        # Its page is in a frame of JupyterLab.
        options = files[f"groups/{group}/jupyter_server_config.json"]["ServerApp"]
        assert "'self'" in options["tornado_settings"]["headers"]["Content-Security-Policy"]


def test_what_the_admin_sets_for_all_holds_for_instructors_too():
    files, _ = build(
        f"{COURSES}\nuser_environment: {{server_extensions: {{{FORMGRADER}: false}}, "
        f'jupyterlab: {{extensions: {{"{LAB_FORMGRADER}": false}}}}}}'
    )
    own = files["groups/teachers/jupyter_server_config.d/tljh.json"]["ServerApp"]
    assert own["jpserver_extensions"] == {}
    page = files["groups/teachers/labconfig/page_config.json"]["disabledExtensions"]
    assert LAB_FORMGRADER not in page


def test_without_courses_everything_of_them_is_absent():
    files, absent = build("", ("teachers",))
    assert not [path for path in files if path.startswith(("groups", "nbgrader"))]
    assert files["labconfig/page_config.json"] == {"disabledExtensions": {}}
    assert {"nbgrader_config.py", "nbgrader_courses.json"} < set(absent)
    assert "groups/teachers/jupyter_server_config.d/tljh.json" in absent


def test_a_group_that_teaches_no_more_loses_its_files():
    _, absent = build(COURSES, ("teachers", "old"))
    assert "groups/old/labconfig/page_config.json" in absent
    assert not [path for path in absent if path.startswith("groups/teachers")]


def test_collaboration_is_on_for_the_members_of_its_groups_only():
    files, _ = build(
        "groups: {teachers: [tea], team: [ann]}\nusers: {extra_user_groups: {teachers: [tea]}}\n"
        "presets: {nbgrader: {courses: {physics: {instructors: teachers}}}, "
        "collaboration: {groups: {team: {}, teachers: {}}}}"
    )
    everybody = files["jupyter_server_config.d/tljh.json"]["ServerApp"]["jpserver_extensions"]
    assert everybody["jupyter_server_ydoc"] is False
    page = files["labconfig/page_config.json"]["disabledExtensions"]
    assert page["@jupyter/docprovider-extension"] is True
    team = files["groups/team/jupyter_server_config.d/tljh.json"]["ServerApp"]
    assert team["jpserver_extensions"]["jupyter_server_ydoc"] is True
    assert FORMGRADER not in team["jpserver_extensions"]
    assert "groups/team/jupyter_server_config.json" not in files
    # One group for two presets has the extensions of both.
    teachers = files["groups/teachers/jupyter_server_config.d/tljh.json"]["ServerApp"]
    assert {FORMGRADER, "jupyter_server_ydoc"} < set(teachers["jpserver_extensions"])


def test_the_directories_of_groups_come_first():
    path = format_config_path(PATHS, {"b:c", "a/../d"}, "/opt/tljh/jupyter")
    groups = f"{PATHS.jupyter}/groups"
    assert path == f"{groups}/a%2F..%2Fd:{groups}/b%3Ac:/opt/tljh/jupyter"


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that loads nbgrader's configuration, as nbgrader does."""
    folders, home = tmp_path / "shared", tmp_path / "home"
    folders.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    file = tmp_path / "nbgrader_config.py"
    file.write_bytes(Path(inside).with_name("nbgrader_config.py").read_bytes())

    def read(courses: list[str]) -> JupyterConfig:
        settings = {"courses": courses, "exchange": "/exchange", "folders": str(folders)}
        file.with_name("nbgrader_courses.json").write_text(json.dumps(settings))
        return PyFileConfigLoader(file.name, str(tmp_path)).load_config()

    return read


def test_a_student_of_one_course_names_no_course(configuration):
    read = configuration(["physics"])
    assert read.CourseDirectory == {"groupshared": True, "course_id": "physics"}
    assert read.Exchange.root == "/exchange"
    assert configuration(["chemistry", "physics"]).CourseDirectory == {"groupshared": True}


def test_instructors_work_in_the_folder_of_the_course_that_they_are_in(
    configuration, tmp_path, monkeypatch
):
    folders, home = tmp_path / "shared", tmp_path / "home"
    for name in ("chemistry", "physics"):
        (folders / name).mkdir()
        (home / name).symlink_to(folders / name)
    read = configuration(["chemistry", "physics"])
    assert read.CourseDirectory.course_id == "chemistry"
    assert read.CourseDirectory.root == str(home / "chemistry")
    (folders / "physics" / "source").mkdir()
    monkeypatch.chdir(home / "physics" / "source")
    read = configuration(["chemistry", "physics"])
    assert read.CourseDirectory.course_id == "physics"
    assert read.CourseDirectory.root == str(home / "physics")


def test_a_new_gradebook_is_writable_by_all_instructors_and_an_old_one_stays(
    configuration, tmp_path
):
    folder = tmp_path / "shared" / "physics"
    folder.mkdir()
    configuration(["physics"])
    book = folder / "gradebook.db"
    assert book.read_bytes() == b""
    book.write_bytes(b"grades")
    configuration(["physics"])
    assert book.read_bytes() == b"grades"


def test_an_own_directory_with_the_name_of_the_course_is_not_taken_for_it(configuration, tmp_path):
    folder, home = tmp_path / "shared" / "physics", tmp_path / "home"
    folder.mkdir()
    (home / "physics").mkdir()
    assert configuration(["physics"]).CourseDirectory.root == str(folder)
