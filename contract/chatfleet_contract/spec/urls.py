"""The rules of URLs: which hosts, ports and paths a pod or KEDA can call, and which it must not."""

from chatfleet_contract.parts import Json, rule

_SERVICE = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_IN_CLUSTER = rf"^http://([a-z]([-a-z0-9]*[a-z0-9])?|({_SERVICE}\\.)+svc(\\.cluster\\.local)?)(:[0-9]+)?(/|$)"
"""The name of a Service begins with a letter: a number would be an address, such as 2130706433 for 127.0.0.1."""

_END = r"\\.?(:[0-9]*)?(/|$)"
_NUMERIC_HOST = rf"^https?://([^/]*\\.)?(0[xX][0-9a-fA-F]*|[0-9]+){_END}"
"""A host that resolvers read as an IPv4 address, because its last label is a number."""
_IPV4 = r"^https?://([1-9][0-9]{0,2})(\\.(0|[1-9][0-9]{0,2})){3}(:[0-9]*)?(/|$)"
"""The usual way to write one, which alone is accepted."""
_OWN_NODE = r"^https?://((127|169\\.254)\\.[0-9.]*(:[0-9]*)?(/|$)|\\[[:0]|\\[[fF][eE][89abAB])"
"""A loopback or link-local address, or IPv6 that begins with zeros, which may be an IPv4 address."""

_PORT = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_OF_A_REQUEST = "/(chat/completions|completions|responses|messages|openai/deployments/[^/]*)/*$"
_LABEL = r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_HOST = rf"{_LABEL}(\\.{_LABEL})*\\.?|\\[[0-9A-Fa-f:.]+\\]"
_PORT_IN_RANGE = rf"^[a-zA-Z]+://([^/@]*@)?([^/:?#\\[]*|\\[[^/\\]]*\\])(:{_PORT}?)?([/?#]|$)"
_HOST_IN_ASCII = rf"^[a-zA-Z]+://([^/@]*@)?({_HOST})?(:[0-9]*)?([/?#]|$)"
# Of the whole text, because the API server has no bound for the cost of a rule on a part of a URL.


def port_rule(field: str) -> Json:
    """Return the rule that the port in the URL `field` exists."""
    return rule(
        f"!has(self.{field}) || !isURL(self.{field}) || !self.{field}.contains('://') ||"
        f" self.{field}.matches('{_PORT_IN_RANGE}')",
        f"the port of {field} must be between 1 and 65535; correct it, or remove it for the default of the scheme",
        f".{field}",
    )


def fetched_url_rules(field: str, *, example: str, inside: str, query: bool = True) -> list[Json]:
    """Return the rules of a URL that pods request as it is; `query`: whether it may have one."""
    target = "/[!-~]*" if query else "/[!->@-~]*"
    kept = "user or fragment" if query else "user, query or fragment"
    return [
        rule(
            f"!has(self.{field}) || (self.{field}.matches('^https?://[^/?#@]+({target})?$') && isURL(self.{field}) &&"
            f" url(self.{field}).getHostname() != '' && !self.{field}.contains('#'))",
            f"{field} must be an absolute http or https URL in ASCII, without spaces, {kept}; write it like {example}",
            f".{field}",
        ),
        rule(
            f"!has(self.{field}) || !self.{field}.startsWith('http://') || self.{field}.matches('{_IN_CLUSTER}')",
            f"{field} must be https unless the host is a Service of this cluster; use https, or a name such as"
            f" {inside}",
            f".{field}",
        ),
    ]


def base_url_rules() -> list[Json]:
    """Return the rules of the base URL of a provider."""
    return [
        rule(
            "!has(self.baseURL) || (self.baseURL.matches('^https?://[^/]*(/[!-~]*)?$') && isURL(self.baseURL) &&"
            " url(self.baseURL).getHostname() != '' && !self.baseURL.contains('@') && !self.baseURL.contains('?')"
            " && !self.baseURL.contains('#'))",
            "baseURL must be an absolute http or https URL in ASCII, without spaces, user, query or fragment; write"
            " it like https://api.example.com/v1",
            ".baseURL",
        ),
        rule(
            f"!has(self.baseURL) || !self.baseURL.matches('{_OF_A_REQUEST}')",
            "baseURL must end before the path of a request, which pods append; remove /chat/completions,"
            " /responses, /messages or /openai/deployments from its end",
            ".baseURL",
        ),
        rule(
            f"!has(self.baseURL) || !self.baseURL.startsWith('http://') || self.baseURL.matches('{_IN_CLUSTER}')",
            "baseURL must be https unless the host is a Service of this cluster; use https, or a name such as"
            " http://llm.team.svc:8000/v1",
            ".baseURL",
        ),
        port_rule("baseURL"),
        rule(
            f"!has(self.baseURL) || !isURL(self.baseURL) || self.baseURL.startsWith('/') ||"
            f" self.baseURL.matches('{_HOST_IN_ASCII}')",
            "the host of baseURL must be an ASCII host name or an IP address; write an international name in its"
            " xn-- form",
            ".baseURL",
        ),
        rule(
            f"!has(self.baseURL) || (!self.baseURL.matches('{_OWN_NODE}') &&"
            f" (!self.baseURL.matches('{_NUMERIC_HOST}') || self.baseURL.matches('{_IPV4}')))",
            "baseURL must not have a loopback, link-local or unusually written address as its host, because it"
            " leads to the pod or its node; write a host name, or an address such as 203.0.113.7",
            ".baseURL",
        ),
    ]


def token_url_rules(field: str) -> list[Json]:
    """Return the rules of the URL of a token endpoint."""
    example, inside = "https://auth.example.com/oauth/token", "http://auth.team.svc:8080/token"
    return fetched_url_rules(field, example=example, inside=inside)
