"""The dynamic client: kinds are discovered, also one that is defined while the test runs."""

import unittest

from common import NAMESPACE, ClusterTest, eventually
from kubernetes import client, dynamic
from kubernetes.dynamic.exceptions import NotFoundError, ResourceNotFoundError, UnprocessibleEntityError

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "pumps.test.minicloud.io"},
    "spec": {
        "group": "test.minicloud.io",
        "scope": "Namespaced",
        "names": {"kind": "Pump", "plural": "pumps", "singular": "pump", "categories": ["all"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "count": {"type": "integer", "minimum": 0, "default": 1},
                                    "mode": {"type": "string", "enum": ["slow", "fast"]},
                                },
                            },
                            "status": {"type": "object", "properties": {"count": {"type": "integer"}}},
                        },
                    }
                },
            }
        ],
    },
}


class Dynamic(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = dynamic.DynamicClient(client.ApiClient())

    def test_built_in_kinds_are_discovered(self):
        for version, kind in [("v1", "Pod"), ("v1", "Node"), ("apps/v1", "Deployment"), ("rbac.authorization.k8s.io/v1", "Role")]:
            resource = self.client.resources.get(api_version=version, kind=kind)
            self.assertIn("list", resource.verbs)
        nodes = self.client.resources.get(api_version="v1", kind="Node")
        self.assertEqual([n.metadata.name for n in nodes.get().items], ["edge-1"])
        with self.assertRaises(ResourceNotFoundError):
            self.client.resources.get(api_version="batch/v1", kind="Job")

    def test_a_kind_defined_at_run_time(self):
        definitions = self.client.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
        definitions.create(body=CRD)

        def established():
            conditions = definitions.get(name="pumps.test.minicloud.io").status.conditions or []
            return any(c.type == "Established" and c.status == "True" for c in conditions)

        eventually("the definition is in force", established)
        self.client.resources.invalidate_cache()
        pumps = self.client.resources.get(api_version="test.minicloud.io/v1", kind="Pump")
        body = lambda **spec: {"apiVersion": "test.minicloud.io/v1", "kind": "Pump", "metadata": {"name": "one"}, "spec": spec}

        made = pumps.create(body=body(mode="slow", extra="gone"), namespace=NAMESPACE)
        self.assertEqual(made.spec.to_dict(), {"mode": "slow", "count": 1})
        with self.assertRaises(UnprocessibleEntityError) as caught:
            pumps.patch(body={"spec": {"mode": "backwards"}}, name="one", namespace=NAMESPACE, content_type="application/merge-patch+json")
        self.assertIn('spec.mode: Unsupported value: \\"backwards\\"', str(caught.exception.body))
        patched = pumps.patch(body={"spec": {"mode": "fast"}}, name="one", namespace=NAMESPACE, content_type="application/merge-patch+json")
        self.assertEqual((patched.spec.mode, patched.metadata.generation), ("fast", 2))
        # The main resource does not change the status, nor the status the rest.
        pumps.patch(body={"status": {"count": 9}}, name="one", namespace=NAMESPACE, content_type="application/merge-patch+json")
        self.assertIsNone(pumps.get(name="one", namespace=NAMESPACE).status)
        pumps.status.patch(body={"status": {"count": 9}, "spec": {"mode": "slow"}}, name="one", namespace=NAMESPACE, content_type="application/merge-patch+json")
        read = pumps.get(name="one", namespace=NAMESPACE)
        self.assertEqual((read.status.count, read.spec.mode, read.metadata.generation), (9, "fast", 2))
        custom = client.CustomObjectsApi()
        at = ("test.minicloud.io", "v1", NAMESPACE, "pumps")
        self.assertEqual(custom.get_namespaced_custom_object_scale(*at, "one")["status"]["replicas"], 9)
        custom.patch_namespaced_custom_object_scale(*at, "one", {"spec": {"replicas": 4}})
        self.assertEqual(custom.get_namespaced_custom_object(*at, "one")["spec"]["count"], 4)

        seen = []
        for event in pumps.watch(namespace=NAMESPACE, timeout=2):
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "ADDED":
                pumps.delete(name="one", namespace=NAMESPACE)
            else:
                break
        self.assertEqual(seen, [("ADDED", "one"), ("DELETED", "one")])
        with self.assertRaises(NotFoundError):
            pumps.get(name="one", namespace=NAMESPACE)
        pumps.create(body=body(), namespace=NAMESPACE)
        definitions.delete(name="pumps.test.minicloud.io")

        def gone():
            try:
                definitions.get(name="pumps.test.minicloud.io")
            except NotFoundError:
                return True
            return False

        eventually("the definition and its objects are gone", gone)
        with self.assertRaises(NotFoundError):
            pumps.get(namespace=NAMESPACE)


if __name__ == "__main__":
    unittest.main()
