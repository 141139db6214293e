"""Instructions of agents in ConfigMaps: live without new pods, named when missing, kept when their ConfigMap goes."""

from chatfleet_contract.runtime import RuntimeAgents
from chatfleet_operator.model.values import Manifest, ObjectId
from chatfleet_operator.reconcile.reconcile import reconcile
from harness.kube.operated_cluster import REF, OperatedCluster, operated_cluster

PROMPTS = ObjectId("ConfigMap", "prompts")
FROM = {"configMapKeyRef": {"name": "prompts", "key": "billing"}}
BILLING = {"name": "billing", "description": "invoices", "model": "default", "instructionsFrom": FROM}
POLICY = {"name": "policy", "description": "terms", "model": "default", "instructions": "Quote the terms."}
AGENTS = {"supervisor": {"model": "default", "instructionsFrom": FROM}, "members": [BILLING, POLICY]}


def prompts(**data: str) -> Manifest:
    head = {"name": "prompts", "namespace": REF.namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": data}


async def reconcile_until_done(operated: OperatedCluster) -> None:
    for _ in range(3):
        await reconcile(REF, operated.parts)


def served(operated: OperatedCluster) -> RuntimeAgents:
    agents = operated.config().agents
    assert agents
    return agents


def members(operated: OperatedCluster) -> dict[str, str]:
    return {member.name: member.instructions for member in served(operated).members}


async def test_instructions_reach_running_pods_when_their_config_map_comes_or_changes() -> None:
    operated = operated_cluster(agents=AGENTS)
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "ConfigMapMissing")
    assert "key billing of ConfigMap prompts" in str(operated.condition_document("ConfigurationValid"))
    assert members(operated) == {"policy": "Quote the terms."}
    template = operated.live("Deployment", "support")["spec"]["template"]

    for words in ("Be brief.", "Be kind."):
        operated.cluster.objects.pop((REF.namespace, PROMPTS), None)
        operated.cluster.put(prompts(billing=words))
        await reconcile_until_done(operated)
        assert operated.condition("ConfigurationValid") == ("True", "Valid")
        assert members(operated) == {"billing": words, "policy": "Quote the terms."}
        assert served(operated).supervisor.instructions == words
    assert operated.live("Deployment", "support")["spec"]["template"] == template


async def test_pods_keep_the_instructions_of_a_config_map_that_is_deleted_or_loses_the_key() -> None:
    operated = operated_cluster(agents=AGENTS)
    operated.cluster.put(prompts(billing="Be brief."))
    await reconcile_until_done(operated)

    operated.change("ConfigMap", "prompts", lambda live: live.update(data={"other": "x"}))
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "ConfigMapMissing")
    operated.cluster.remove(REF.namespace, PROMPTS)
    await reconcile_until_done(operated)
    assert operated.condition("ConfigurationValid") == ("False", "ConfigMapMissing")
    assert members(operated)["billing"] == "Be brief."
    assert served(operated).supervisor.instructions == "Be brief."
