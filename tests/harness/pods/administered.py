"""The admin port of a pod without a server, its administrator, and a caller who is none."""

from pathlib import Path
from typing import Final

from starlette.types import ASGIApp

from chatfleet_api.admin.app import create_admin_app
from chatfleet_api.admin.services import AdminServices
from chatfleet_api.identity.administrators import AdminAuthentication
from chatfleet_api.identity.key_uses import KeyUses
from chatfleet_api.runs.directory import RunDirectory
from chatfleet_api.runs.fleet.tasks import TaskDirectory
from chatfleet_contract.runtime import RuntimeKeys
from chatfleet_contract.spec.administrators import Administrator, AdministratorKind
from harness.pods.api_pod import Pod

OPS: Final = "sk-ops-0123456789abcdef0123456789abcdef"
WEB: Final = "sk-web-0123456789abcdef0123456789abcdef"
ADMINISTRATOR: Final = Administrator(kind=AdministratorKind.API_KEY, source="ops-keys", name="ops")
AS_OPS: Final = {"authorization": f"Bearer {OPS}"}
AS_WEB: Final = {"authorization": f"Bearer {WEB}"}


def secrets(folder: Path) -> tuple[RuntimeKeys, ...]:
    """Return the API keys of two Secrets, written below `folder`: one each, of the tenants ops and shop."""
    for secret, name, key in (("ops-keys", "ops", OPS), ("chat-keys", "web", WEB)):
        (folder / secret).mkdir(exist_ok=True)
        (folder / secret / name).write_text(key)
    of = (("ops-keys", "ops"), ("chat-keys", "shop"))
    return tuple(RuntimeKeys(tenant=tenant, folder=str(folder / secret)) for secret, tenant in of)


def administer(pod: Pod, folder: Path) -> ASGIApp:
    """Return the application of the pod's admin port, after naming an administrator."""
    pod.change("access", anonymous=False, api_keys=secrets(folder), admin=(ADMINISTRATOR,))
    pod.refresh_keys()
    return create_admin_app(
        AdminServices(
            pod="pod-1",
            authenticate=AdminAuthentication(
                pod.authentication, pod.configuration.live.map(lambda live: live.access.admin)
            ),
            configuration=pod.configuration,
            key_uses=KeyUses(None, pod.authentication.keys),
            runs=RunDirectory(pod.pool, None, "pod-1"),
            dispatcher=pod.dispatcher,
            fleet_events=None,
            cache=None,
            tasks=TaskDirectory(pod.tasks, None, "pod-1"),
            sessions=pod.chat.ports.sessions,
            usage=pod.services.usage,
            dead_letters=None,
            now=lambda: pod.now,
            clock=pod.services.clock,
            new_id=pod.services.new_id,
        )
    )
