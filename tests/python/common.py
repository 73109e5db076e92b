"""What the tests share: clients of the cluster that KUBECONFIG names, and polling."""

import json
import time
import unittest

from kubernetes import client, config

IMAGE = "minicloud.local/busybox:1"
NAMESPACE = "default"


def eventually(what, condition, seconds=20):
    """Polls `condition` until it returns something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not in {seconds} s; last: {value!r}")
        time.sleep(0.1)


class ClusterTest(unittest.TestCase):
    """A test with the typed clients of the groups that are served."""

    @classmethod
    def setUpClass(cls):
        config.load_kube_config()
        cls.core = client.CoreV1Api()
        cls.apps = client.AppsV1Api()
        cls.rbac = client.RbacAuthorizationV1Api()
        cls.extensions = client.ApiextensionsV1Api()

    def refused(self, status, reason, call, *args, **kwargs):
        """The call fails with this HTTP status and this reason; returns the message."""
        with self.assertRaises(client.ApiException) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.status, status, caught.exception.body)
        answer = json.loads(caught.exception.body)
        self.assertEqual((answer["kind"], answer["reason"], answer["code"]), ("Status", reason, status))
        return answer["message"]


def config_map(name, labels=None, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def pod(name, *command, **spec):
    """A pod with one container that ends at once when it is told to."""
    container = client.V1Container(name="c", image=IMAGE, command=list(command))
    container.stdin = spec.pop("stdin", None)
    container.ports = spec.pop("ports", None)
    spec.setdefault("termination_grace_period_seconds", 1)
    return client.V1Pod(
        metadata=client.V1ObjectMeta(name=name),
        spec=client.V1PodSpec(containers=[container], **spec),
    )
