"""What a heading of a class list stands for: login names, e-mail addresses, or something else.

Headings are compared by their letters only: in lower case, without accents, punctuation, spaces
and what is in brackets, and also without the endings of a plural. So `E-Mail Addresses`,
`emailaddress` and `Email Address [Required]` are one heading.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Literal

Kind = Literal["login", "email", "other"]

LOGIN_WORDS = """
    username, user name, uname, usr, user, userid, user id, user login, login, loginname,
    login name,
    login id, login user, logon, logon name, sign in name, screen name, sis login id, sis login,
    account, account name, account id, user account, netid, net id, unix name, unix user,
    unix login, linux user, linux name, hub user, hub name, hub login, jupyter user,
    jupyterhub user, jupyterhub username, github username, github login, github user,
    github handle, github, gitlab username, gitlab user, gitlab, uid, upn, user principal name,
    samaccountname, student username, student login, student user, participant username,
    campus id, onyen, kerberos, kerberos id, kerberos name, uniqname, unique name, single sign on,
    sso, sso id, benutzername, benutzer, benutzer id, benutzerkonto, nutzername, nutzer,
    nutzer id, nutzerkonto, anmeldename, anmeldung, konto, kontoname, kennung, benutzerkennung,
    nutzerkennung, unikennung, uni account, rz kennung, hrz kennung, zim kennung, login kennung,
    matrikelkennung, kürzel, identifiant, identifiant de connexion, nom d'utilisateur,
    nom utilisateur, utilisateur, nom de compte, compte, compte utilisateur, pseudo, pseudonyme,
    nom de connexion, nombre de usuario, usuario, cuenta, nombre de cuenta, nome de usuário,
    nome do usuário, nome de utilizador, utilizador, usuário, conta, nom d'usuari, usuari,
    compte d'usuari, nome utente, utente, nome account, gebruikersnaam, gebruikersnamen,
    gebruiker, gebruikers id, inlognaam, aanmeldnaam, accountnaam, användarnamn, användare,
    användarid, användarkonto, inloggningsnamn, brukernavn, bruker, brukar, brukarnamn,
    brukerkonto, brugernavn, bruger, käyttäjätunnus, käyttäjätunnukset, käyttäjä, käyttäjänimi,
    tunnus, notandanafn, notandi, nazwa użytkownika, użytkownik, nazwa konta, uživatelské jméno,
    uživatel, přihlašovací jméno, používateľské meno, používateľ, prihlasovacie meno,
    felhasználónév, felhasználó, felhasználói név, nume de utilizator, nume utilizator,
    utilizator, cont, uporabniško ime, uporabnik, korisničko ime, korisnik, vartotojo vardas,
    vartotojas, lietotājvārds, lietotājs, kasutajanimi, kasutaja, kullanıcı adı, kullanıcı, hesap,
    emri i përdoruesit, erabiltzaile izena, имя пользователя, пользователь, пользователи, логин,
    учетная запись, учётная запись, аккаунт, никнейм, ім'я користувача, користувач, користувачі,
    логін, потребителско име, потребител, корисничко име, корисник, όνομα χρήστη, χρήστης,
    λογαριασμός, שם משתמש, משתמש, اسم المستخدم, المستخدم, الحساب, نام کاربری, کاربر,
    उपयोगकर्ता नाम, उपयोगकर्ता, ชื่อผู้ใช้, ผู้ใช้, บัญชี, tên người dùng, tên đăng nhập,
    người dùng, tài khoản, nama pengguna, pengguna, akun, 用户, 用户名, 用户名称, 用户账号,
    用户帐号, 账号, 帐号, 账户, 帐户, 登录名, 登录账号, 登陆名, 使用者, 使用者名稱, 使用者帳號,
    帳號, 帳戶, 登入名稱, ユーザー, ユーザ, ユーザー名, ユーザ名, ユーザーid, ユーザid,
    アカウント, アカウント名, ログイン, ログイン名, ログインid, 利用者, 利用者名, 사용자,
    사용자 이름, 사용자명, 사용자 id, 사용자 아이디, 아이디, 계정, 계정명, 로그인
"""
EMAIL_WORDS = """
    email, e mail, mail, email address, mail address, email id, user email, student email,
    school email, university email, work email, primary email, contact email, institutional email,
    email username, email adresse, mailadresse, mail adresse, e post adresse, schul email,
    adresse e mail, adresse email, adresse mail, adresse de messagerie, courriel,
    adresse de courriel, adresse courriel, adresse électronique, correo, correo electrónico,
    correo institucional, dirección de correo, email institucional,
    dirección de correo electrónico, dirección email, endereço de email, endereço eletrônico,
    correio eletrônico, correio electrónico, correu, correu electrònic, adreça electrònica,
    indirizzo email, indirizzo mail, posta elettronica, indirizzo di posta elettronica, mailadres,
    emailadres, e mailadres, epost, epostadress, e postadress, epostadresse, mejl, mejladress,
    mailadress, sähköposti, sähköpostiosoite, netfang, tölvupóstur, adres e mail, adres email,
    adres poczty elektronicznej, e mailová adresa, emailová adresa, elektronická pošta,
    e mail cím, email cím, adresă de e mail, adresă email, adresa e mail, e pošta,
    e poštni naslov, el paštas, e pasts, e post, e posta, e posta adresi, eposta adresi,
    электронная почта, эл почта, почта, адрес электронной почты, имейл, имейл адрес,
    електронна пошта, е поща, е пошта, ηλεκτρονικό ταχυδρομείο, διεύθυνση email, דואר אלקטרוני,
    אימייל, البريد الإلكتروني, بريد إلكتروني, ایمیل, ईमेल, อีเมล, thư điện tử, alamat email,
    surel, 邮箱, 电子邮箱, 电子邮件, 邮件, 邮箱地址, 電子郵件, 電郵, 信箱, メール, メールアドレス,
    eメール, 電子メール, 이메일, 이메일 주소, 메일, 전자우편
"""
# Columns that hold something else: alone in a file, nobody can tell names from them.
OTHER_WORDS = """
    who, cn, gmail,
    student, pupil, learner, attendee, enrolled, trainee, candidate, student name, full name,
    first name, last name, middle name, surname, given name, family name, forename, firstname,
    lastname, fullname, preferred name, display name, displayname, nick, nickname, alias, handle,
    nick name, id, ids, student id, student number, student no, sis id, sis user id, sid,
    orgdefinedid, identifier, roster identifier, roster, number, no, nr, num, section, course,
    class, classroom, classlist, class list, list, group, cohort, grade, year, team, role,
    id number, institution, department, faculty, school, university, participant, member, people,
    person, name, names, teacher, instructor, staff, ta, tutor, password, passwd, pass,
    passphrase, initial password, admin, administrator, is admin, access, status, timestamp, date,
    comment, note, remark, phone, title, attendance, record number, registration status, namen,
    vorname, nachname, familienname, rufname, zuname, anrede, schüler, schülerin, schüler innen,
    schülerinnen, studierende, studierender, studentin, student in, student innen, studis,
    lernende, teilnehmer, teilnehmerin, teilnehmende, teilnehmer innen, teilnehmerliste,
    kursteilnehmer, mitglied, mitglieder, matrikelnummer, matrikel, matrikelnr, matr nr, nummer,
    klasse, kurs, gruppe, liste, klassenliste, jahrgang, lehrer, lehrkraft, kennwort, passwort,
    rolle, rechte, prénom, nom, nom complet, nom de famille, étudiant, étudiante, élève,
    apprenant, numéro, numéro étudiant, classe, cours, groupe, mot de passe, enseignant, rôle,
    matricule, nombre, nombres, nombre completo, apellido, alumno, alumna, estudiante,
    participante, matrícula, número, clase, curso, grupo, contraseña, profesor, lista, nome,
    nome completo, cognome, studente, studentessa, allievo, aluno, aluna, estudante, sobrenome,
    apelido, senha, palavra passe, turma, matricola, numero, corso, gruppo, classi, partecipante,
    nom i cognoms, cognoms, estudiant, alumne, naam, voornaam, achternaam, leerling, studenten,
    deelnemer, studentnummer, groep, klas, wachtwoord, namn, förnamn, efternamn, elev, elever,
    deltagare, grupp, klass, lösenord, personnummer, navn, fornavn, etternavn, efternavn,
    studerende, deltager, deltaker, adgangskode, passord, nimi, etunimi, sukunimi, opiskelija,
    opiskelijanumero, oppilas, osallistuja, ryhmä, salasana, imię, imię i nazwisko, nazwisko,
    uczeń, uczniowie, studenci, uczestnik, grupa, klasa, hasło, numer albumu, indeks, jméno,
    příjmení, žák, žáci, studenti, skupina, třída, heslo, meno, priezvisko, žiak, név, vezetéknév,
    keresztnév, tanuló, hallgató, diák, csoport, osztály, jelszó, neptun, neptun kód, nume,
    prenume, parolă, ime, priimek, prezime, dijak, učenec, učenik, geslo, vardas, pavardė, vārds,
    uzvārds, isikukood, perekonnanimi, eesnimi, ad, soyad, adı, soyadı, ad soyad, öğrenci,
    öğrenci no, öğrenci numarası, numara, sınıf, şifre, parola, имя, фамилия, фио, отчество,
    студент, студенты, ученик, участник, группа, класс, пароль, номер, прізвище, ім'я, учень,
    учні, студенти, група, име, фамилно име, ученици, лозинка, презиме, όνομα, επώνυμο, φοιτητής,
    μαθητής, αριθμός μητρώου, κωδικός, ομάδα, שם, שם מלא, תלמיד, סטודנט, סיסמה, الاسم, الطالب,
    طالب, كلمة المرور, الرقم الجامعي, نام, دانشجو, नाम, छात्र, ชื่อ, นักเรียน, นักศึกษา,
    รหัสนักศึกษา, tên, họ tên, họ và tên, sinh viên, học sinh, mã sinh viên, mật khẩu, lớp, nama,
    siswa, mahasiswa, nim, kelas, kata sandi, 学生, 学号, 姓名, 名字, 学籍号, 班级, 组, 小组,
    密码, 学員, 學生, 學號, 班級, 密碼, 名前, 氏名, 名簿, 生徒, 学籍番号, 学生番号, 番号, クラス,
    グループ, パスワード, 学年, 受講者, 受講生, 参加者, 학번, 이름, 성명, 학생, 반, 분반, 학과,
    번호, 비밀번호, 그룹, 수강생, 참가자
"""
_SHORTEST_TYPO = 6
_LIKENESS = 0.87
# Scripts that put spaces between words, by the names of their letters.
_ALPHABETS = ("LATIN", "DIGIT", "CYRILLIC", "GREEK", "HEBREW", "ARABIC", "DEVANAGARI")
# Letters that no decomposition reduces to a plain one.
_LETTERS = str.maketrans({"ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ё": "е"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"})
_BRACKETS = re.compile(r"\([^)]*\)|\[[^]]*\]|<[^>]*>")
# Endings of plurals and cases with the fewest letters that must be before them: `Mail` is a
# heading, `Maila` is a name.
_ENDINGS = {"innen": 4, "nen": 4, "es": 4, "en": 4, "er": 4, "s": 4, "n": 4, "들": 4, "们": 2} | (
    dict.fromkeys("eiayыи", 5)
)


def normalize_heading(heading: str) -> str:
    """Return the letters and digits of a heading, in lower case and without accents."""
    return _squash(_BRACKETS.sub(" ", heading)) or _squash(heading)


def _squash(text: str) -> str:
    letters = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    return "".join(letter for letter in letters if letter.isalnum())


def classify_heading(cell: str) -> Kind | None:
    """Return what a known heading stands for; None for any other text."""
    return _classify(normalize_heading(cell)) or _classify(
        normalize_heading(re.sub(r"s\b", "", cell.casefold()))
    )


def _classify(key: str) -> Kind | None:
    table = _load_table()
    if key in table:
        return table[key]
    for ending, shortest in _ENDINGS.items():
        stem = key.removesuffix(ending)
        if stem != key and len(stem) >= shortest and stem in table:
            return table[stem]
    return None


def is_like_heading(cell: str) -> bool:
    """Return whether the text is a heading but for a typing mistake, such as `usernmae`."""
    from difflib import get_close_matches

    key = normalize_heading(cell)
    return len(key) >= _SHORTEST_TYPO and bool(get_close_matches(key, _load_table(), 1, _LIKENESS))


def has_heading_word(cell: str) -> bool:
    """Return whether a word of the text is a heading, as in `Students of 7b`.

    Scripts without spaces are searched for parts of words.
    """
    if any(_classify(_squash(word)) for word in re.split(r"[\W_]+", cell)):
        return True
    key = normalize_heading(cell)
    return not key.isascii() and any(
        word in key for word in _load_table() if not _is_alphabetic(word) and len(word) > 1
    )


def _is_alphabetic(word: str) -> bool:
    """Return whether the word is in a script that puts spaces between words."""
    return all(unicodedata.name(letter, "").startswith(_ALPHABETS) for letter in word)


@cache
def _load_table() -> dict[str, Kind]:
    table: dict[str, Kind] = {}
    kinds: tuple[tuple[Kind, str], ...] = (
        ("other", OTHER_WORDS),
        ("email", EMAIL_WORDS),
        ("login", LOGIN_WORDS),
    )
    for kind, words in kinds:
        for word in (part.strip() for part in words.split(",")):
            table[_squash(word)] = table[_squash(word.translate(_UMLAUTS))] = kind
    return table
