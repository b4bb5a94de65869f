"""The search for the column of a class list that has the login names.

Lists come from Canvas, Moodle, GitHub Classroom and spreadsheets, with headings in the language
of the school. A heading that is taken for a name is a security hole: any visitor could log in as
`email`. So a first line that is no known heading, but looks unlike all lines below, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tljh.base.errors import TljhError

OWN_COLUMNS = ("name", "admin", "groups", "password")

LOGIN_HEADINGS = frozenset(
    {
        *("username", "user name", "user", "users", "userid", "user id", "login", "logins"),
        *("login name", "login id", "loginname", "sis login id", "sis login", "account"),
        *("account name", "netid", "net id", "unix name", "hub user", "github username"),
        *("github login", "github user", "github handle", "github"),
        *("benutzername", "benutzer", "nutzername", "nutzer", "anmeldename", "kennung"),
        *("benutzerkennung", "nutzerkennung", "unikennung", "rz kennung", "uid", "matrikelkennung"),
        *("identifiant", "identifiants", "nom d'utilisateur", "nom utilisateur", "utilisateur"),
        *("nombre de usuario", "usuario", "usuarios", "nome de usuário", "nome de utilizador"),
        *("utilizador", "usuário", "nome utente", "utente", "gebruikersnaam", "gebruiker"),
        *("användarnamn", "brukernavn", "brugernavn", "käyttäjätunnus", "nazwa użytkownika"),
        *("uživatelské jméno", "používateľské meno", "felhasználónév", "nume de utilizator"),
        *("kullanıcı adı", "имя пользователя", "логин", "ім'я користувача", "όνομα χρήστη"),
        *("用户名", "使用者名稱", "ユーザー名", "ユーザ名", "사용자 이름", "アカウント"),
    }
)
EMAIL_HEADINGS = frozenset(
    {
        *("email", "emails", "e mail", "e mails", "mail", "email address", "e mail address"),
        *("mail address", "email adresse", "e mail adresse", "mailadresse", "mail adresse"),
        *("adresse e mail", "adresse email", "adresse mail", "courriel", "adresse de courriel"),
        *("adresse électronique", "correo", "correo electrónico", "dirección de correo"),
        *("dirección de correo electrónico", "endereço de email", "endereço de e mail"),
        *("correio eletrônico", "indirizzo email", "indirizzo e mail", "posta elettronica"),
        *("e mailadres", "emailadres", "e postadress", "epost", "e post", "e postadresse"),
        *("sähköposti", "adres e mail", "e posta", "электронная почта", "邮箱", "メールアドレス"),
    }
)
# Headings of columns that hold something else; alone in a file they are refused as names.
OTHER_HEADINGS = frozenset(
    {
        *("student", "students", "student name", "full name", "first name", "last name"),
        *("surname", "given name", "family name", "display name", "id", "ids", "student id"),
        *("sis id", "sis user id", "identifier", "roster identifier", "number", "section"),
        *("course", "class", "group", "role", "roles", "id number", "institution", "department"),
        *("participant", "participants", "member", "members", "people", "person", "names"),
        *("name", "namen", "vorname", "nachname", "familienname", "schüler", "schülerin"),
        *("schülerinnen", "studierende", "studierender", "studentin", "teilnehmer"),
        *("teilnehmerin", "teilnehmende", "matrikelnummer", "klasse", "kurs", "gruppe"),
        *("prénom", "nom", "nom de famille", "étudiant", "étudiants", "élève", "élèves"),
        *("nombre", "apellido", "apellidos", "alumno", "alumnos", "estudiante", "estudiantes"),
        *("nome", "cognome", "studente", "studenti", "aluno", "alunos", "sobrenome", "naam"),
        *("voornaam", "achternaam", "leerling", "namn", "navn", "imię", "nazwisko", "фамилия"),
        *("имя", "студент", "学生", "姓名", "名前", "氏名"),
    }
)
# What people write for a column of our format.
SYNONYMS = {"group": "groups", "administrator": "admin", "is admin": "admin"}
OWN_NAME_HEADINGS = ("name", "username", "user", "login")
SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
# Lines of Canvas' gradebook that are no students.
NO_STUDENTS = re.compile(r"points possible|student, test|test student", re.IGNORECASE)


@dataclass(frozen=True)
class RosterColumns:
    """The columns of a file: `login` is the index of the names, `own` those of our format.

    `has_heading` is false for a plain list; `is_strict` for our own format, where every column
    must be known.
    """

    login: int
    own: dict[str, int]
    has_heading: bool
    is_strict: bool
    heading: str = ""
    width: int = 1


def normalize_heading(heading: str) -> str:
    """Return a column's heading in lower case, with spaces in place of other separators."""
    words = re.sub(r"[\s_\-./:()*]+", " ", heading).strip().casefold()
    return words.replace("ß", "ss")


def is_heading(cell: str) -> bool:
    return normalize_heading(cell) in LOGIN_HEADINGS | EMAIL_HEADINGS | OTHER_HEADINGS


def find_columns(rows: Sequence[Sequence[str]], column: str | None = None) -> RosterColumns:
    """Return which columns of a class list have login names, roles and groups.

    `column` is the heading that the admin chose for the names. Raises TljhError where the file has
    no column of login names, or several.
    """
    first = list(rows[0])
    if column is not None:
        matches = [
            index
            for index, cell in enumerate(first)
            if normalize_heading(cell) == normalize_heading(column)
        ]
        if len(matches) != 1:
            raise TljhError(
                f"the file has no column {column!r}" if not matches else
                f"the file has {len(matches)} columns {column!r}",
                why=f"its first line is: {', '.join(first)}",
                fix="give a heading of the first line to --column",
            )  # fmt: skip
        return RosterColumns(matches[0], {}, True, False, first[matches[0]], len(first))
    names = _use_own_headings([normalize_heading(cell) for cell in first])
    own = {name: names.index(name) for name in OWN_COLUMNS if name in names}
    if len([cell for cell in first if cell]) == 1:
        return _read_single_column(rows, first)
    logins = [index for index, name in enumerate(names) if name in OWN_NAME_HEADINGS]
    # Moodle has a column of groups too: without a name it is not our format.
    if own.keys() & {"admin", "groups", "password"} and len(logins) == 1:
        return _find_own_columns(first, names, own, logins[0])
    for headings in (LOGIN_HEADINGS, EMAIL_HEADINGS):
        matches = [index for index, name in enumerate(names) if name in headings]
        if len(matches) == 1:
            return RosterColumns(matches[0], {}, True, False, first[matches[0]], len(first))
        if matches:
            raise TljhError(
                "the file has several columns that can hold the login names",
                why=", ".join(first[index] for index in matches),
                fix=f'say which one: --column "{first[matches[0]]}"',
            )
    if "name" in own:
        _refuse_unknown(
            [name for name in names if name and name != "name" and not is_heading(name)]
        )
        return RosterColumns(own["name"], {}, True, False, first[own["name"]], len(first))
    raise TljhError(
        "the first line of the file has no column of login names",
        why=f"it has {', '.join(first)}",
        fix=f"name the column in the first line ({', '.join(OWN_COLUMNS)}), or give its heading: "
        f'--column "{first[0]}"',
    )


def _use_own_headings(names: list[str]) -> list[str]:
    """Return the headings as ours, where nothing else is in the file; else as they are.

    A school's list has other columns, too, and its groups are none of the machine.
    """
    own = [SYNONYMS.get(name, name) for name in names]
    return own if set(own) <= {*OWN_COLUMNS, *OWN_NAME_HEADINGS, ""} else names


def _find_own_columns(
    first: Sequence[str], names: Sequence[str], own: dict[str, int], login: int
) -> RosterColumns:
    known_words = ("", *own)
    _refuse_unknown(
        [name for index, name in enumerate(names) if name not in known_words and index != login]
    )
    return RosterColumns(login, own, True, True, first[login], len(first))


def _refuse_unknown(headings: Sequence[str]) -> None:
    """Raise TljhError for an unknown heading: it may be one of ours with a typing mistake."""
    if headings:
        raise TljhError(
            f"the file has an unknown column: {headings[0]}",
            fix=f"the columns are {', '.join(OWN_COLUMNS)}; remove or rename it",
        )


def _read_single_column(rows: Sequence[Sequence[str]], first: list[str]) -> RosterColumns:
    index = next(number for number, cell in enumerate(first) if cell)
    cell = first[index]
    if normalize_heading(cell) in LOGIN_HEADINGS | EMAIL_HEADINGS | {"name", "names"}:
        return RosterColumns(index, {}, True, False, cell, len(first))
    below = [row[index] for row in rows[1:] if len(row) > index and row[index]]
    if normalize_heading(cell) in OTHER_HEADINGS or _looks_unlike(cell, below):
        raise TljhError(
            f"the first line of the file looks like a heading: {cell!r}",
            why="as a login name, anybody could log in by it",
            fix=f'if it is a heading: --column "{cell}"; if it is a user, move it below the others',
        )
    return RosterColumns(index, {}, False, True, "", len(first))


def _looks_unlike(first: str, below: Sequence[str]) -> bool:
    """Return whether the first line differs from all others in kind, so is a heading."""
    if len(below) < 2:
        return False
    kinds = (
        lambda text: "@" in text,
        lambda text: any(character.isdigit() for character in text),
        lambda text: not re.search(r"[\s:]", text),
        lambda text: text == text.lower(),
    )
    return any(all(map(kind, below)) and not kind(first) for kind in kinds)
