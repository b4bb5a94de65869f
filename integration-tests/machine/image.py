"""Images of machines: from a registry that answers, else made with mmdebstrap.

An image is named by the digest of its inputs. So the next boot finds it, and a change of
Dockerfile.test or of this computer's certificates rebuilds it.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from machine import caches
from machine.engine import CannotBoot, Engine, install_packages, need_packages, report, which
from machine.passthrough import apt_mirrors, apt_settings, apt_sources, certificates

CHECKOUT = Path(__file__).resolve().parents[2]
DOCKERFILE = CHECKOUT / "Dockerfile.test"
LABEL = "org.tljh.machine"
REGISTRY = "https://registry-1.docker.io/v2/"

# From the index of Ubuntu 24.04, whose signature by Ubuntu's key of 2018 was checked:
# F6ECB3762474EDA9D21B7022871920D1991BC93C.
UBUNTU_KEYRING = "pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb"
UBUNTU_KEYRING_SHA256 = "36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8"

# In a fresh cloud VM but not in a minimal Debian; Dockerfile.test adds the same packages to an
# image from a registry.
BASE_PACKAGES = (
    "apt systemd systemd-sysv libpam-systemd dbus python3 sudo ca-certificates curl "
    "iproute2 procps login passwd tzdata"
)


@dataclass(frozen=True)
class Release:
    """A distribution release that machines can run."""

    base: str
    suite: str | None  # for mmdebstrap; None: available from a registry only
    distribution: str = "debian"


RELEASES = {
    "debian12": Release("docker.io/library/debian:12", "bookworm"),
    "debian13": Release("docker.io/library/debian:13", "trixie"),
    "ubuntu22.04": Release("docker.io/library/ubuntu:22.04", "jammy", "ubuntu"),
    "ubuntu24.04": Release("docker.io/library/ubuntu:24.04", "noble", "ubuntu"),
    "ubuntu26.04": Release("docker.io/library/ubuntu:26.04", "resolute", "ubuntu"),
}
ALIASES = {"bookworm": "debian12", "trixie": "debian13", "12": "debian12", "13": "debian13"}
DEFAULT_RELEASE = "debian12"


def release_of(name: str) -> Release:
    """Return the release called `name`; any other name is an image in a registry."""
    return RELEASES.get(canonical(name)) or Release(name, None)


def canonical(name: str) -> str:
    """Return the main name of a release."""
    name = name.replace("debian:", "debian").replace("ubuntu:", "ubuntu")
    return ALIASES.get(name, name)


def registry_answers(url: str = REGISTRY, timeout_s: float = 5) -> bool:
    """Return whether a container registry answers: its API sends a special header.

    A captive proxy may answer every URL with 200, so the status proves nothing.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        headers = error.headers  # a registry answers 401 to an anonymous client
    except OSError:
        return False
    return "Docker-Distribution-Api-Version" in headers


def host_archive() -> bytes:
    """Pack this computer's certificates and apt settings, for Dockerfile.test to unpack."""
    files = {f"usr/local/share/ca-certificates/{n}": c for n, c in certificates().items()}
    settings = apt_settings()
    if settings:
        files["etc/apt/apt.conf.d/90-computer"] = settings.encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def digest_of(*parts: bytes | str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        # With its length, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:12]


def has_image(engine: Engine, name: str) -> bool:
    return engine.run("image", "inspect", name, check=False).returncode == 0


def ensure_image(engine: Engine, release_name: str = DEFAULT_RELEASE) -> str:
    """Return the name of a machine image of `release_name`; build it where it is missing."""
    if release_name.startswith("localhost/tljh-"):
        return release_name
    release_name = canonical(release_name)
    release = release_of(release_name)
    archive = host_archive()
    short = release_name.replace(":", "").replace("/", "-")
    tag = digest_of(DOCKERFILE.read_bytes(), archive, release.base, BASE_PACKAGES)
    name = f"localhost/tljh-machine-{short}:{tag}"
    with caches.locked(f"machine-{short}"):
        if not has_image(engine, name):
            build_image(engine, name, ensure_base(engine, release_name, release), archive)
    return name


def build_image(engine: Engine, name: str, base: str, archive: bytes) -> None:
    """Build a machine image from `base` and the `archive` of this computer's settings."""
    report(f"building the machine image {name} from {base}")
    with tempfile.TemporaryDirectory(prefix="tljh-image-") as directory:
        context = Path(directory)
        (context / "Dockerfile.test").write_bytes(DOCKERFILE.read_bytes())
        (context / "machine-host.tar").write_bytes(archive)
        limits = [part for limit in engine.ulimits for part in ("--ulimit", limit)]
        options = ["--build-arg", f"BASE={base}", "--label", f"{LABEL}.image=1", "-t", name]
        file = str(context / "Dockerfile.test")
        engine.run("build", *limits, *options, "-f", file, directory, timeout_s=900)


def ensure_base(engine: Engine, release_name: str, release: Release) -> str:
    """Return an image of the plain distribution, from a registry or made with mmdebstrap."""
    own = f"localhost/tljh-base-{release.suite}:{digest_of(BASE_PACKAGES)}"
    if release.suite and has_image(engine, own):
        return own
    if has_image(engine, release.base):
        return release.base
    if registry_answers():
        pulled = engine.run("pull", "-q", release.base, check=False, timeout_s=600)
        if pulled.returncode == 0:
            return release.base
    if not release.suite:
        others = ", ".join(name for name, other in RELEASES.items() if other.suite)
        raise CannotBoot(
            f"no container registry can be reached, and {release_name} comes from one only "
            f"(without a registry: {others})"
        )
    report(f"no container registry can be reached: making {release_name} with mmdebstrap")
    with tempfile.TemporaryDirectory(prefix="tljh-base-", dir="/var/tmp") as directory:
        archive = Path(directory) / "base.tar"
        bootstrap(release, archive, BASE_PACKAGES.split())
        engine.run("import", str(archive), own, timeout_s=300)
    return own


def bootstrap(
    release: Release, target: Path, packages: Sequence[str], options: Sequence[str] = ()
) -> None:
    """Install a release with `packages` into `target`, a directory or a .tar, by mmdebstrap."""
    assert release.suite is not None
    need_packages({"mmdebstrap": "mmdebstrap"})
    with tempfile.TemporaryDirectory(prefix="tljh-keyring-", dir="/var/tmp") as directory:
        # apt reads the keyring as another account, which cannot read root's cache.
        Path(directory).chmod(0o755)
        keyring = shutil.copyfile(keyring_of(release.distribution), Path(directory) / "keys.gpg")
        command = [which("mmdebstrap") or "mmdebstrap", "--variant=minbase"]
        command += [f"--include={','.join(packages)}", f"--keyring={keyring}"]
        command += [f"--aptopt={line}" for line in apt_settings().splitlines()]
        done = subprocess.run(
            [*command, *options, release.suite, str(target), "-"],
            input=apt_sources(release.suite, release.distribution),
            capture_output=True,
            text=True,
        )
    if done.returncode != 0:
        problems = [line for line in done.stderr.splitlines() if line.startswith(("E:", "W:"))]
        last = "; ".join((problems or done.stderr.strip().splitlines())[-3:])
        raise CannotBoot(f"mmdebstrap could not make {release.suite}: {last}")


def keyring_of(distribution: str) -> Path:
    """Return the path of the keys that sign a distribution's archive; fetch them if missing."""
    system = Path(f"/usr/share/keyrings/{distribution}-archive-keyring.gpg")
    if system.exists():
        return system
    if distribution == "debian":
        install_packages(["debian-archive-keyring"])
        return system
    cached = caches.directory() / "keyrings" / f"{UBUNTU_KEYRING_SHA256}.gpg"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".keyring-", dir=cached.parent) as directory:
            fetch_ubuntu_keyring(Path(directory)).replace(cached)
    return cached


def fetch_ubuntu_keyring(scratch: Path) -> Path:
    """Fetch Ubuntu's keys from Ubuntu's package: Debian 12 has no package with them."""
    url = f"{apt_mirrors()['ubuntu']}/{UBUNTU_KEYRING}"
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            package = response.read()
    except OSError as error:
        raise CannotBoot(f"Ubuntu's keys could not be fetched from {url}: {error}") from None
    if hashlib.sha256(package).hexdigest() != UBUNTU_KEYRING_SHA256:
        raise CannotBoot(f"{url} is not the expected package with Ubuntu's keys")
    (scratch / "keyring.deb").write_bytes(package)
    unpack = ["dpkg-deb", "-x", str(scratch / "keyring.deb"), str(scratch)]
    subprocess.run(unpack, check=True, stdin=subprocess.DEVNULL)
    return scratch / "usr/share/keyrings/ubuntu-archive-keyring.gpg"


def snapshots(engine: Engine) -> list[str]:
    """Return the names of the images that `Machine.snapshot` made, the newest first."""
    images = engine.run(
        "images", "--filter", f"label={LABEL}.snapshot", "--format", "{{.Repository}}:{{.Tag}}"
    )
    return images.stdout.split()
