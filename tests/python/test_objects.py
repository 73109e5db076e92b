"""Objects through the typed clients: create, read, list, replace, patch, delete, and how errors look."""

import unittest

from common import NAMESPACE, ClusterTest, config_map, eventually, pod
from kubernetes import client, utils


def plain(answer):
    """The answer as JSON's own types: some versions of the client return objects, some do not."""
    return client.ApiClient().sanitize_for_serialization(answer)


class Objects(ClusterTest):
    def test_an_object_lives_and_ends(self):
        made = self.core.create_namespaced_config_map(NAMESPACE, config_map("py-one", a="b"))
        self.assertEqual(made.data, {"a": "b"})
        self.assertTrue(made.metadata.uid and made.metadata.creation_timestamp.tzinfo)
        read = self.core.read_namespaced_config_map("py-one", NAMESPACE)
        self.assertEqual(read, made)
        read.data = {"a": "c"}
        replaced = self.core.replace_namespaced_config_map("py-one", NAMESPACE, read)
        self.assertEqual(replaced.data, {"a": "c"})
        self.assertGreater(int(replaced.metadata.resource_version), int(made.metadata.resource_version))
        # The version that was read is no longer the present one.
        message = self.refused(
            409, "Conflict", self.core.replace_namespaced_config_map, "py-one", NAMESPACE, read
        )
        self.assertIn("the object has been modified; please apply your changes to the latest version", message)
        dry = self.core.delete_namespaced_config_map("py-one", NAMESPACE, dry_run="All")
        self.assertEqual(plain(dry)["status"], "Success")
        stale = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
        self.refused(409, "Conflict", self.core.delete_namespaced_config_map, "py-one", NAMESPACE, body=stale)
        gone = self.core.delete_namespaced_config_map("py-one", NAMESPACE)
        self.assertEqual(plain(gone)["details"], {"kind": "configmaps", "name": "py-one", "uid": made.metadata.uid})
        message = self.refused(404, "NotFound", self.core.read_namespaced_config_map, "py-one", NAMESPACE)
        self.assertEqual(message, 'configmaps "py-one" not found')

    def test_patches_of_each_type(self):
        self.core.create_namespaced_config_map(NAMESPACE, config_map("py-patch", a="1", b="2"))
        self.addCleanup(self.core.delete_namespaced_config_map, "py-patch", NAMESPACE)
        patch = lambda body, **more: self.core.patch_namespaced_config_map("py-patch", NAMESPACE, body, **more).data
        self.assertEqual(patch({"data": {"b": None, "c": "3"}}), {"a": "1", "c": "3"})
        self.assertEqual(patch([{"op": "remove", "path": "/data/c"}]), {"a": "1"})
        self.assertEqual(patch({"data": {"d": "4"}}, dry_run="All"), {"a": "1", "d": "4"})
        for kind in ("application/merge-patch+json", "application/strategic-merge-patch+json"):
            data = patch({"data": {"a": kind}}, _content_type=kind)
            self.assertEqual(data, {"a": kind})
        with self.assertRaises(client.ApiException) as caught:
            patch({"data": {}}, _content_type="application/apply-patch+yaml", field_manager="py")
        self.assertEqual(caught.exception.status, 415)

    def test_lists_are_paged_and_selected(self):
        names = [f"py-list-{n}" for n in range(7)]
        for n, name in enumerate(names):
            self.core.create_namespaced_config_map(NAMESPACE, config_map(name, {"py-list": "", "odd": str(n % 2)}))
        selector = {"label_selector": "py-list"}
        whole = self.core.list_namespaced_config_map(NAMESPACE, **selector)
        self.assertEqual([i.metadata.name for i in whole.items], names)
        paged, more = [], None
        while True:
            page = self.core.list_namespaced_config_map(NAMESPACE, limit=3, _continue=more, **selector)
            self.assertLessEqual(len(page.items), 3)
            paged += [i.metadata.name for i in page.items]
            more = page.metadata._continue
            if not more:
                break
            # What changes between pages is not in them: all are of one moment.
            self.core.patch_namespaced_config_map(names[6], NAMESPACE, {"metadata": {"labels": {"late": "yes"}}})
        self.assertEqual(paged, names)
        odd = self.core.list_namespaced_config_map(NAMESPACE, label_selector="py-list,odd=1,odd notin (2,3)")
        self.assertEqual(len(odd.items), 3)
        one = self.core.list_config_map_for_all_namespaces(field_selector="metadata.name=py-list-3,metadata.namespace=default")
        self.assertEqual([i.metadata.name for i in one.items], ["py-list-3"])
        self.refused(400, "BadRequest", self.core.list_namespaced_config_map, NAMESPACE, label_selector="a in b")
        self.refused(400, "BadRequest", self.core.list_namespaced_config_map, NAMESPACE, field_selector="spec.x=1")
        self.core.delete_collection_namespaced_config_map(NAMESPACE, **selector)
        self.assertEqual(self.core.list_namespaced_config_map(NAMESPACE, **selector).items, [])

    def test_errors_name_what_is_wrong(self):
        create = self.core.create_namespaced_config_map
        message = self.refused(422, "Invalid", create, NAMESPACE, config_map("Not_A_Name"))
        self.assertIn('ConfigMap "Not_A_Name" is invalid: metadata.name: Invalid value', message)
        self.refused(404, "NotFound", create, "no-such-namespace", config_map("x"))
        bad = pod("py-bad", "true")
        bad.spec.containers = []
        message = self.refused(422, "Invalid", self.core.create_namespaced_pod, NAMESPACE, bad)
        self.assertIn("spec.containers: Required value", message)
        patch = self.core.patch_namespaced_service
        message = self.refused(
            422, "Invalid", patch, "kubernetes", NAMESPACE, {"spec": {"prots": []}}, field_validation="Strict"
        )
        self.assertIn('unknown field "spec.prots"', message)
        create(NAMESPACE, config_map("py-twice"))
        self.addCleanup(self.core.delete_namespaced_config_map, "py-twice", NAMESPACE)
        self.refused(409, "AlreadyExists", create, NAMESPACE, config_map("py-twice"))
        # A group that is not served is no resource at all.
        with self.assertRaises(client.ApiException) as caught:
            client.BatchV1Api().list_namespaced_job(NAMESPACE)
        self.assertEqual((caught.exception.status, caught.exception.body), (404, "404 page not found\n"))

    def test_a_deployment_is_made_from_a_document_scaled_and_removed(self):
        document = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "py-web"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "py-web"}},
                "template": {
                    "metadata": {"labels": {"app": "py-web"}},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "c", "image": "minicloud.local/busybox:1", "command": ["sleep", "1000"]}],
                    },
                },
            },
        }
        utils.create_from_dict(client.ApiClient(), document)
        ready = lambda n: lambda: self.apps.read_namespaced_deployment_status("py-web", NAMESPACE).status.ready_replicas == n
        eventually("one ready", ready(1))
        scale = self.apps.read_namespaced_deployment_scale("py-web", NAMESPACE)
        self.assertEqual((scale.spec.replicas, scale.status.selector), (1, "app=py-web"))
        self.apps.patch_namespaced_deployment_scale("py-web", NAMESPACE, {"spec": {"replicas": 2}})
        eventually("two ready", ready(2))
        self.apps.delete_namespaced_deployment("py-web", NAMESPACE, propagation_policy="Foreground")
        pods = lambda: self.core.list_namespaced_pod(NAMESPACE, label_selector="app=py-web").items
        eventually("no pods", lambda: not pods())
        named = {"field_selector": "metadata.name=py-web"}
        eventually("no deployment", lambda: not self.apps.list_namespaced_deployment(NAMESPACE, **named).items)

    def test_tokens_and_reviews(self):
        self.core.create_namespaced_service_account(
            NAMESPACE, client.V1ServiceAccount(metadata=client.V1ObjectMeta(name="py"))
        )
        self.addCleanup(self.core.delete_namespaced_service_account, "py", NAMESPACE)
        spec = client.V1TokenRequestSpec(audiences=[], expiration_seconds=600)
        token = self.core.create_namespaced_service_account_token(
            "py", NAMESPACE, client.AuthenticationV1TokenRequest(spec=spec)
        ).status.token
        review = client.AuthenticationV1Api().create_token_review(
            client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token))
        )
        self.assertTrue(review.status.authenticated)
        self.assertEqual(review.status.user.username, "system:serviceaccount:default:py")
        attributes = client.V1ResourceAttributes(verb="list", resource="pods", namespace=NAMESPACE)
        access = client.AuthorizationV1Api().create_subject_access_review(
            client.V1SubjectAccessReview(
                spec=client.V1SubjectAccessReviewSpec(user=review.status.user.username, resource_attributes=attributes)
            )
        )
        self.assertFalse(access.status.allowed)
        # The same client library with the token alone.
        settings = client.Configuration.get_default_copy()
        settings.cert_file = settings.key_file = None
        settings.api_key = {"authorization": f"Bearer {token}"}
        limited = client.CoreV1Api(client.ApiClient(settings))
        message = self.refused(403, "Forbidden", limited.list_namespaced_pod, NAMESPACE)
        self.assertIn('User "system:serviceaccount:default:py" cannot list resource "pods"', message)


if __name__ == "__main__":
    unittest.main()
