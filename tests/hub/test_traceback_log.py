"""The error of a hub, found in what it logged."""

from __future__ import annotations

from tljh.hub.traceback_log import find_last_error

# As JupyterHub 6.1 wrote it to the journal, shortened.
TEMPLATE = """\
[I 2026-11-27 15:00:00.000 JupyterHub log:192] 200 GET /hub/health (@127.0.0.1) 1.0ms
[E 2026-11-27 15:00:01.000 JupyterHub web:1875] Uncaught exception GET /hub/login (127.0.0.1)
    HTTPServerRequest(protocol='http', host='127.0.0.1', method='GET', uri='/hub/login')
    Traceback (most recent call last):
      File "/opt/tljh/hub/lib/python3.11/site-packages/tornado/web.py", line 1790, in _execute
        result = await result
                 ^^^^^^^^^^^^
      File "/opt/tljh/hub/lib/python3.11/site-packages/jinja2/environment.py", line 942, in handle
        raise rewrite_traceback_stack(source=source)
      File "/srv/templates/login.html", line 7, in template
        {% endblok %}
        ^^^^^^^^^^^
    jinja2.exceptions.TemplateSyntaxError: Encountered unknown tag 'endblok'.
[E 2026-11-27 15:00:01.000 JupyterHub log:184] {
      "Host": "127.0.0.1"
    }
"""


def test_a_broken_template_is_named_with_its_line() -> None:
    error = find_last_error(TEMPLATE)
    assert error is not None
    assert str(error.place) == "/srv/templates/login.html, line 7"
    assert error.text == (
        "jinja2.exceptions.TemplateSyntaxError: Encountered unknown tag 'endblok'."
    )


def test_an_exception_in_code_is_named_with_its_innermost_line() -> None:
    log = TEMPLATE.replace("/srv/templates/login.html", "/srv/hook.py")
    error = find_last_error(log)
    assert error is not None and str(error.place) == "/srv/hook.py, line 7"


def test_a_log_without_a_traceback_has_no_error() -> None:
    assert find_last_error("") is None
    assert find_last_error("all is well\nTraceback (most recent call last):\n") is None
