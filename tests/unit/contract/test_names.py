"""Names that the contract makes of others."""

import re

from chatfleet_contract import names
from chatfleet_contract.spec import MAX_NAME

LONGEST_LABEL = 63  # RFC 1123, as Kubernetes takes it for Services and values of labels
REVISION = "-0123456789"  # a StatefulSet's controller labels its pods with `<its name>-<up to 10 digits>`


def test_every_child_of_the_longest_name_has_a_name_that_kubernetes_takes() -> None:
    longest = "a" * MAX_NAME
    children = [longest, names.config_name(longest), names.redis_name(longest), names.redis_name(longest) + REVISION]
    assert max(map(len, children)) == LONGEST_LABEL


def test_the_files_of_secrets_lie_where_the_secrets_are_mounted() -> None:
    assert names.api_key_file("openai") == "/etc/chatfleet/secrets/providers/openai/api-key"
    assert names.REDIS_URL_FILE.startswith(names.SECRETS_DIR)
    assert not names.SECRETS_DIR.startswith(names.CONFIG_DIR)


def test_labels_and_annotations_are_ours() -> None:
    ours = [name for key, name in vars(names).items() if re.match(r"(LABEL|ANNOTATION)_", key)]
    assert all(re.match(r"chatfleet\.io/|app\.kubernetes\.io/", name) for name in ours)
