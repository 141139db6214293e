"""`spec.egress`: which servers the pods may connect to, and how."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, rule, rules
from chatfleet_contract.spec.secrets import ConfigMapKeyRef, SecretKeyRef
from chatfleet_contract.spec.urls import port_rule

_LABEL: Final = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_ENTRY: Final = rf"^\\.?{_LABEL}(\\.{_LABEL})*$"
_NUMERIC: Final = r"(^|\\.)[0-9]+$"
_NEVER: Final = r"^(0\\.|169\\.254\\.|22[4-9]\\.|23[0-9]\\.|[fF][eE][89abAB]|[fF]{2})"
"""Beginnings of addresses that are refused to all: unspecified, link-local and multicast ones."""

Entry = Annotated[str, Field(min_length=1, max_length=253)]
Entries = Annotated[list[Entry], Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "atomic"})]


class CABundleRef(Part):
    """A key with certificates in PEM."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.configMapKeyRef) != has(self.secretKeyRef)",
                "egress.caBundleRef must have exactly one of configMapKeyRef and secretKeyRef; set one and remove the"
                " other",
            )
        )
    )

    config_map_key_ref: ConfigMapKeyRef | None = Field(None, description="Key of a ConfigMap.")
    secret_key_ref: SecretKeyRef | None = Field(None, description="Key of a Secret.")


class Egress(Part):
    """The connections that pods open to servers over HTTP."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                rule(
                    f"!has(self.{name}) || self.{name}.all(e, isIP(e) || isCIDR(e) || (e.matches('{_ENTRY}') &&"
                    f" !e.matches('{_NUMERIC}')))",
                    f"egress.{name}[] must be a host, a suffix, an address or a range, without scheme, port or"
                    " wildcard; write it like llm.example.com, .example.com or 10.0.0.0/8",
                    f".{name}",
                )
                for name in ("allow", "noProxy")
            ),
            rule(
                f"!has(self.allow) || self.allow.all(e, !e.matches('{_NEVER}') || !(isIP(e) || isCIDR(e)))",
                "egress.allow[] must not be an unspecified, link-local or multicast address, because pods never connect"
                " to one; remove it",
                ".allow",
            ),
            rule(
                "!has(self.proxyURL) || (self.proxyURL.matches('^http://[^/@?#]+/?$') && isURL(self.proxyURL) &&"
                " url(self.proxyURL).getHostname() != '')",
                "egress.proxyURL must be http, a host and a port, without user and path, because pods use CONNECT;"
                " write it like http://proxy.example.com:3128",
                ".proxyURL",
            ),
            port_rule("proxyURL"),
            rule(
                "!has(self.noProxy) || self.noProxy.size() == 0 || has(self.proxyURL)",
                "egress.noProxy has no effect without egress.proxyURL; set proxyURL or remove noProxy",
                ".noProxy",
            ),
        )
    )

    allow: Entries = Field(
        default_factory=list,
        description="Hosts, suffixes (.example.com), addresses and ranges inside the cluster or other private networks"
        " that pods may reach although the URL is not of this resource. Hosts of baseURL need no entry.",
    )
    proxy_url: Annotated[str, Field(max_length=2048)] | None = Field(
        None,
        alias="proxyURL",
        description="HTTP proxy for all connections except to Services of the cluster and to noProxy, such as"
        " http://proxy.example.com:3128. Unset: direct connections.",
    )
    no_proxy: Entries = Field(
        default_factory=list,
        description="Hosts, suffixes (.example.com), addresses and ranges that pods reach without the proxy. A range"
        " matches URLs with an address, because names are not resolved for it.",
    )
    ca_bundle_ref: CABundleRef | None = Field(
        None,
        description="CAs (PEM) that are trusted besides those of the image, of which pods reload a new version. A"
        " change of the reference restarts the pods.",
    )
