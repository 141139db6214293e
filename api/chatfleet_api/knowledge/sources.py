"""The documents of a base: ConfigMaps and volumes, in the order of the configuration. It blocks."""

from pathlib import Path
from typing import Final, TypeAlias

from chatfleet_api.knowledge.documents import Reading, read_documents
from chatfleet_api.knowledge.pdf_texts import PdfTexts
from chatfleet_api.knowledge.volumes import Volume
from chatfleet_contract.names import KNOWLEDGE_VOLUMES
from chatfleet_contract.spec.knowledge import Knowledge

Signature: TypeAlias = tuple[tuple[str, tuple[int, int, int]], ...]

_GONE: Final = (0, 0, 0)


class ConfigMaps:
    """A ConfigMap, mounted as a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    def signature(self) -> Signature:
        """Return what changes with the files, without reading them: the kubelet makes new ones for each version."""
        return tuple((str(file), _state(file)) for file in _within(self._folder))

    def read(self) -> Reading:
        return read_documents({self.name: self._folder})


class Volumes:
    """A folder of a volume."""

    def __init__(self, volume: Volume) -> None:
        self.name = volume.name
        self._volume = volume
        self._pdfs = PdfTexts()

    def signature(self) -> Signature:
        files, left_out = self._volume.files()
        return (*((str(file.path), file.signature) for file in files), *((problem, _GONE) for problem in left_out))

    def read(self) -> Reading:
        return self._volume.read(self._pdfs)


class Sources:
    """All of a base."""

    def __init__(self, knowledge: Knowledge, folder: Path) -> None:
        """ConfigMaps and volumes are mounted below `folder`, by their names."""
        self._sources = tuple({each.name: each for each in _opened(knowledge, folder)}.values())
        self.names = ", ".join(each.name for each in self._sources)

    def signature(self) -> Signature:
        """Return what changes with the files, without reading them."""
        return tuple(part for source in self._sources for part in source.signature())

    def read(self) -> Reading:
        """Return all documents, and what is wrong with the sources."""
        readings = [source.read() for source in self._sources]
        documents = tuple(document for reading in readings for document in reading.documents)
        problems = tuple(problem for reading in readings for problem in reading.problems)
        unfinished = any(reading.unfinished for reading in readings)
        return Reading(documents, problems, unfinished, transient=any(reading.transient for reading in readings))


def _opened(knowledge: Knowledge, folder: Path) -> list[ConfigMaps | Volumes]:
    found: list[ConfigMaps | Volumes] = []
    for source in knowledge.sources or ():
        if (config_map := source.config_map_ref) is not None:
            found.append(ConfigMaps(config_map.name, folder / config_map.name))
        if (claim := source.volume_claim_ref) is not None:
            root = folder / KNOWLEDGE_VOLUMES / claim.name
            found.append(Volumes(Volume(claim.name, root, claim.path or "")))
    return found


def _within(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # the ConfigMap is not mounted
        return []


def _state(file: Path) -> tuple[int, int, int]:
    try:
        state = file.stat()
    except OSError:  # it was replaced meanwhile
        return _GONE
    return (state.st_ino, state.st_mtime_ns, state.st_size)
