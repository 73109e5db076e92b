"""Streams to a pod: logs, exec and attach over WebSocket, a forwarded port."""

import unittest

from common import NAMESPACE, ClusterTest, eventually, pod
from kubernetes import client, watch
from kubernetes.stream import portforward, stream
from kubernetes.stream.ws_client import ERROR_CHANNEL


class Streams(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        script = "echo first; httpd -p 8080 -h /etc; while read x; do echo got $x; done"
        cls.core.create_namespaced_pod(NAMESPACE, pod("py-shell", "sh", "-c", script, stdin=True))
        eventually("the pod runs", lambda: cls.core.read_namespaced_pod("py-shell", NAMESPACE).status.phase == "Running")

    @classmethod
    def tearDownClass(cls):
        cls.core.delete_namespaced_pod("py-shell", NAMESPACE)

    def connect(self, call, **options):
        options = {"stderr": True, "stdin": False, "stdout": True, "tty": False} | options
        return stream(call, "py-shell", NAMESPACE, **options)

    def test_a_command_answers(self):
        said = self.connect(self.core.connect_get_namespaced_pod_exec, command=["sh", "-c", "echo out; echo err >&2"])
        self.assertEqual(sorted(said.splitlines()), ["err", "out"])

    def test_a_command_is_talked_to_and_its_code_returned(self):
        session = self.connect(
            self.core.connect_get_namespaced_pod_exec, command=["sh"], stdin=True, _preload_content=False
        )
        session.write_stdin("echo one\n")
        self.assertEqual(session.readline_stdout(timeout=5), "one")
        session.write_stdin("echo two >&2\n")
        self.assertEqual(session.readline_stderr(timeout=5), "two")
        session.write_stdin("exit 3\n")
        session.run_forever(timeout=10)
        self.assertEqual(session.returncode, 3)

    def test_a_terminal(self):
        session = self.connect(
            self.core.connect_get_namespaced_pod_exec, command=["sh", "-c", "tty; stty size; exit 2"], tty=True, stdin=True, _preload_content=False
        )
        session.run_forever(timeout=10)
        self.assertIn("/dev/pts/", session.read_stdout())
        self.assertEqual(session.returncode, 2)

    def test_what_is_not_there_is_refused(self):
        with self.assertRaises(client.ApiException) as caught:
            stream(self.core.connect_get_namespaced_pod_exec, "py-nobody", NAMESPACE, command=["true"])
        self.assertIn("404", str(caught.exception))
        session = self.connect(self.core.connect_get_namespaced_pod_exec, command=["no-such-program"], _preload_content=False)
        session.run_forever(timeout=10)
        self.assertIn("executable file not found", session.read_channel(ERROR_CHANNEL))

    def test_attach_and_logs(self):
        session = self.connect(self.core.connect_get_namespaced_pod_attach, stdin=True, _preload_content=False)
        session.write_stdin("word\n")
        eventually("an answer", lambda: session.update(timeout=1) or "got word" in session.peek_stdout())
        session.close()
        eventually("the log", lambda: "got word" in self.core.read_namespaced_pod_log("py-shell", NAMESPACE))
        self.assertEqual(self.core.read_namespaced_pod_log("py-shell", NAMESPACE, limit_bytes=5), "first")
        # The watch of the client library follows logs too.
        follower = watch.Watch()
        for line in follower.stream(self.core.read_namespaced_pod_log, name="py-shell", namespace=NAMESPACE):
            if line == "got word":
                follower.stop()

    def test_a_port_is_forwarded(self):
        forward = portforward(self.core.connect_get_namespaced_pod_portforward, "py-shell", NAMESPACE, ports="8080")
        http = forward.socket(8080)
        http.setblocking(True)
        http.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
        answer = b""
        while chunk := http.recv(4096):
            answer += chunk
        http.close()
        self.assertIn(b"200 OK", answer)
        self.assertIn(b"root:x:0:0", answer)
        self.assertIsNone(forward.error(8080))


if __name__ == "__main__":
    unittest.main()
