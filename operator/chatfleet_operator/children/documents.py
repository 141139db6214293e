"""What API pods mount for `knowledge`: ConfigMaps and volumes with documents, and tokens for ChromaDB."""

from typing import Final

from chatfleet_contract import names
from chatfleet_contract.spec import ChatDeploymentSpec
from chatfleet_contract.spec.secrets import SecretKeyRef
from chatfleet_operator.children.pod import READ_ONLY
from chatfleet_operator.model.values import Manifest

TOKENS: Final = "chroma-tokens"
TOKENS_DIR: Final = f"{names.KNOWLEDGE_DIR}/{names.KNOWLEDGE_TOKENS}"


def volumes(spec: ChatDeploymentSpec) -> list[Manifest]:
    """Return a volume for each ConfigMap, whose files follow its keys, for each claim, and one for all tokens."""
    tokens = spec.chroma_tokens
    return [
        *map(_config_map, _named(spec).items()),
        *map(_claim, _claims(spec).items()),
        *([_tokens(tokens)] if tokens else []),
    ]


def mounts(spec: ChatDeploymentSpec) -> list[Manifest]:
    """Return where these volumes are in the container."""
    folders = {volume: names.knowledge_dir(config_map) for volume, config_map in _named(spec).items()}
    folders |= {volume: names.knowledge_volume_dir(claim) for volume, claim in _claims(spec).items()}
    if spec.chroma_tokens:
        folders[TOKENS] = TOKENS_DIR
    return [{"name": volume, "mountPath": folder, "readOnly": True} for volume, folder in folders.items()]


def inputs(spec: ChatDeploymentSpec) -> Manifest:
    """Return what of `knowledge` a pod template depends on."""
    config_maps, tokens = spec.knowledge_config_maps, [each.document() for each in spec.chroma_tokens]
    return {
        **({"knowledge": config_maps} if config_maps else {}),
        **({"knowledge_claims": claims} if (claims := spec.knowledge_claims) else {}),
        **({"chroma_tokens": tokens} if tokens else {}),
    }


def _named(spec: ChatDeploymentSpec) -> dict[str, str]:
    return {f"knowledge-{index}": name for index, name in enumerate(spec.knowledge_config_maps)}


def _claims(spec: ChatDeploymentSpec) -> dict[str, str]:
    return {f"documents-{index}": name for index, name in enumerate(spec.knowledge_claims)}


def _claim(volume: tuple[str, str]) -> Manifest:
    """Return a volume of the user's, which cannot be optional: without the claim, pods do not start."""
    name, claim = volume
    return {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}


def _config_map(volume: tuple[str, str]) -> Manifest:
    name, config_map = volume
    return {"name": name, "configMap": {"name": config_map, "defaultMode": READ_ONLY, "optional": True}}


def _tokens(refs: tuple[SecretKeyRef, ...]) -> Manifest:
    """Return the tokens, each in a folder of its Secret."""
    sources = [
        {"secret": {"name": ref.name, "optional": True, "items": [{"key": ref.key, "path": f"{ref.name}/{ref.key}"}]}}
        for ref in refs
    ]
    return {"name": TOKENS, "projected": {"defaultMode": READ_ONLY, "sources": sources}}
