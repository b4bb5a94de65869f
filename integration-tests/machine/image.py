"""Images of machines: from a registry where one answers, else made with mmdebstrap.

An image is named by the digest of what went into it, so that the next boot finds it
ready and a change of Dockerfile.test or of this computer's certificates rebuilds it.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from machine.engine import CannotBoot, Engine, install_packages, need_packages, say, which
from machine.passthrough import apt_settings, apt_sources, certificates

CHECKOUT = Path(__file__).resolve().parents[2]
DOCKERFILE = CHECKOUT / "Dockerfile.test"
LABEL = "org.tljh.machine"
REGISTRY = "https://registry-1.docker.io/v2/"

# What a fresh cloud VM has and a minimal Debian lacks; Dockerfile.test adds the same
# to an image from a registry.
BASE_PACKAGES = (
    "systemd systemd-sysv libpam-systemd dbus python3 sudo ca-certificates curl "
    "iproute2 procps login passwd tzdata"
)


@dataclass(frozen=True)
class Release:
    """A distribution release that machines can run."""

    base: str
    suite: str | None  # for mmdebstrap; None: only from a registry


RELEASES = {
    "debian12": Release("docker.io/library/debian:12", "bookworm"),
    "debian13": Release("docker.io/library/debian:13", "trixie"),
    "ubuntu22.04": Release("docker.io/library/ubuntu:22.04", None),
    "ubuntu24.04": Release("docker.io/library/ubuntu:24.04", None),
}
ALIASES = {"bookworm": "debian12", "trixie": "debian13", "12": "debian12", "13": "debian13"}
DEFAULT_RELEASE = "debian12"


def release_of(name: str) -> Release:
    """The release called `name`; any other name is taken for an image in a registry."""
    return RELEASES.get(canonical(name)) or Release(name, None)


def canonical(name: str) -> str:
    """The one name of a release that has several."""
    name = name.replace("debian:", "debian").replace("ubuntu:", "ubuntu")
    return ALIASES.get(name, name)


def registry_answers(url: str = REGISTRY, timeout_s: float = 5) -> bool:
    """Whether a container registry can be reached, told by its own API's header."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers  # 401 is how a registry says hello
    except OSError:
        return False
    return "Docker-Distribution-Api-Version" in headers


def host_archive() -> bytes:
    """What Dockerfile.test unpacks over the machine: certificates and apt settings."""
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
    sum_ = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sum_.update(len(data).to_bytes(8, "big") + data)
    return sum_.hexdigest()[:12]


def has_image(engine: Engine, name: str) -> bool:
    return engine.run("image", "inspect", name, check=False).returncode == 0


def ensure_image(engine: Engine, release_name: str = DEFAULT_RELEASE) -> str:
    """The name of a machine image of `release_name`, built unless it is there already."""
    if release_name.startswith("localhost/tljh-"):
        return release_name
    release_name = canonical(release_name)
    release = release_of(release_name)
    archive = host_archive()
    short = release_name.replace(":", "").replace("/", "-")
    tag = digest_of(DOCKERFILE.read_bytes(), archive, release.base, BASE_PACKAGES)
    name = f"localhost/tljh-machine-{short}:{tag}"
    if has_image(engine, name):
        return name
    base = ensure_base(engine, release_name, release)
    say(f"building the machine image of {release_name} from {base}")
    with tempfile.TemporaryDirectory(prefix="tljh-image-") as directory:
        context = Path(directory)
        (context / "Dockerfile.test").write_bytes(DOCKERFILE.read_bytes())
        (context / "machine-host.tar").write_bytes(archive)
        limits = [part for limit in engine.ulimits for part in ("--ulimit", limit)]
        options = ["--build-arg", f"BASE={base}", "--label", f"{LABEL}.image=1", "-t", name]
        file = str(context / "Dockerfile.test")
        engine.run("build", *limits, *options, "-f", file, directory, timeout_s=900)
    return name


def ensure_base(engine: Engine, release_name: str, release: Release) -> str:
    """An image of the plain distribution, from a registry or made here."""
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
        others = ", ".join(name for name, known in RELEASES.items() if known.suite)
        raise CannotBoot(
            f"no container registry can be reached, and {release_name} can be had from one only "
            f"(made here without a registry: {others})"
        )
    say(f"no container registry can be reached: making {release_name} with mmdebstrap")
    make_base(engine, release.suite, own)
    return own


def make_base(engine: Engine, suite: str, name: str) -> None:
    """Make a minimal Debian from its packages and import it under `name`."""
    need_packages({"mmdebstrap": "mmdebstrap"})
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    if not Path(keyring).exists():
        install_packages(["debian-archive-keyring"])
    with tempfile.TemporaryDirectory(prefix="tljh-base-", dir="/var/tmp") as directory:
        archive = str(Path(directory) / "base.tar")
        options = [f"--aptopt={line}" for line in apt_settings().splitlines()]
        done = subprocess.run(
            [
                which("mmdebstrap") or "mmdebstrap",
                "--variant=minbase",
                f"--include={','.join(BASE_PACKAGES.split())}",
                f"--keyring={keyring}",
                *options,
                suite,
                archive,
                "-",
            ],
            input=apt_sources(suite),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            last = "; ".join(done.stderr.strip().splitlines()[-3:])
            raise CannotBoot(f"mmdebstrap could not make Debian {suite}: {last}")
        engine.run("import", archive, name, timeout_s=300)


def snapshots(engine: Engine) -> list[str]:
    """Names of the images that `Machine.snapshot` made, the newest first."""
    listed = engine.run(
        "images", "--filter", f"label={LABEL}.snapshot", "--format", "{{.Repository}}:{{.Tag}}"
    )
    return listed.stdout.split()
