"""Watches: events in order, ended by time, resumed without loss, and told when they are too old."""

import threading
import time
import unittest

from common import NAMESPACE, ClusterTest, config_map
from kubernetes import client, watch

LABEL = {"label_selector": "py-watch"}


class Watches(ClusterTest):
    def make(self, name):
        return self.core.create_namespaced_config_map(NAMESPACE, config_map(name, {"py-watch": ""}, n="0"))

    def tearDown(self):
        self.core.delete_collection_namespaced_config_map(NAMESPACE, **LABEL)

    def events(self, **options):
        stream = watch.Watch().stream(self.core.list_namespaced_config_map, NAMESPACE, **LABEL, **options)
        return [(e["type"], e["object"].metadata.name) for e in stream]

    def test_a_watch_begins_with_what_is_there_and_ends_in_time(self):
        self.make("w1")
        self.make("w2")
        started = time.monotonic()
        self.assertEqual(self.events(timeout_seconds=1), [("ADDED", "w1"), ("ADDED", "w2")])
        self.assertLess(time.monotonic() - started, 4)

    def test_changes_come_in_order(self):
        first = self.make("w1").metadata.resource_version
        self.core.patch_namespaced_config_map("w1", NAMESPACE, {"data": {"n": "1"}})
        self.make("w2")
        # What no longer matches the selector is deleted for the one who watches.
        self.core.patch_namespaced_config_map("w2", NAMESPACE, {"metadata": {"labels": {"py-watch": None}}})
        self.core.delete_namespaced_config_map("w2", NAMESPACE)
        self.core.delete_namespaced_config_map("w1", NAMESPACE)
        expected = [("MODIFIED", "w1"), ("ADDED", "w2"), ("DELETED", "w2"), ("DELETED", "w1")]
        self.assertEqual(self.events(resource_version=first, timeout_seconds=1), expected)

    def test_a_watch_is_resumed_without_loss(self):
        start = self.core.list_namespaced_config_map(NAMESPACE, **LABEL).metadata.resource_version
        done = threading.Event()

        def write():
            for n in range(60):
                self.make(f"w{n}")
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        seen, deadline = [], time.monotonic() + 20
        watcher = watch.Watch()
        while len(seen) < 60 and not (done.is_set() and time.monotonic() > deadline):
            # Many short watches, each from where the one before ended.
            options = {"resource_version": start, "timeout_seconds": 1} | LABEL
            for event in watcher.stream(self.core.list_namespaced_config_map, NAMESPACE, **options):
                seen.append(event["object"].metadata.name)
                start = event["object"].metadata.resource_version
                if len(seen) % 7 == 0:
                    watcher.stop()
        writer.join()
        self.assertEqual(seen, [f"w{n}" for n in range(60)])

    def test_bookmarks_are_sent_when_asked_for(self):
        self.make("w1")
        answer = self.core.list_namespaced_config_map(
            NAMESPACE,
            watch=True,
            allow_watch_bookmarks=True,
            send_initial_events=True,
            resource_version_match="NotOlderThan",
            timeout_seconds=1,
            _preload_content=False,
        )
        lines = answer.read().decode().splitlines()
        self.assertTrue(any('"BOOKMARK"' in line and "k8s.io/initial-events-end" in line for line in lines), lines)

    def test_a_version_of_the_future_is_refused_and_nonsense_too(self):
        call = self.core.list_namespaced_config_map
        self.refused(422, "Invalid", call, NAMESPACE, resource_version="nonsense")
        with self.assertRaises(client.ApiException) as caught:
            call(NAMESPACE, resource_version="999999999")
        self.assertEqual(caught.exception.status, 504)
        self.assertIn("Too large resource version", caught.exception.body)


if __name__ == "__main__":
    unittest.main()
