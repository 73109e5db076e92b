import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Obj } from '../api/kube';
import { allocatable, requestedByNode, summarizeNode, sumKnown } from './nodes';
import { requested, summarize } from './pods';
import { bytes, count, cpus, percent, quantity } from './quantity';
import { readRange, stepOf, windowOf } from './range';
import { age, minutes, span } from './time';
import type { ContainerStatus, Node, Pod, Workload } from './types';
import { matches, searched, seenAt, summarizeWorkload } from './workloads';
import { toYaml } from './yaml';

test('quantities', () => {
  const cases: [string, number][] = [
    ['250m', 0.25],
    ['2', 2],
    ['64Mi', 64 * 2 ** 20],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['1e3', 1000],
    ['1k', 1000],
    ['1n', 1e-9],
    ['.5', 0.5],
    ['-1', -1],
  ];
  for (const [text, expected] of cases) assert.equal(quantity(text), expected, text);
  for (const text of ['', 'x', '1Xi', '1 Gi', 'Gi', '1e', undefined]) assert.ok(Number.isNaN(quantity(text)), String(text));
});

test('numbers as people read them', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 5 * 2 ** 30, 250 * 2 ** 20, NaN].map(bytes), ['0 B', '1023 B', '1 KiB', '1.50 KiB', '5 GiB', '250 MiB', '–']);
  assert.deepEqual([0, 0.0031, 0.25, 2, 12.34].map(cpus), ['0', '3.1 m', '0.25', '2', '12.3']);
  assert.deepEqual([0, 0.045, 0.5, 1, null].map(percent), ['0 %', '4.5 %', '50 %', '100 %', '–']);
  assert.deepEqual([0, 9999, 12_345, 2_500_000].map(count), ['0', '9999', '12.3 k', '2.50 M']);
});

test('ages are kubectl’s', () => {
  const s = 1000;
  const cases: [number, string][] = [
    [-5, '0s'],
    [119 * s, '119s'],
    [125 * s, '2m5s'],
    [600 * s, '10m'],
    [3 * 3600 * s, '3h'],
    [3.5 * 3600 * s, '3h30m'],
    [47 * 3600 * s, '47h'],
    [50 * 3600 * s, '2d2h'],
    [9 * 86_400 * s, '9d'],
    [800 * 86_400 * s, '2y70d'],
  ];
  for (const [ms, expected] of cases) assert.equal(span(ms), expected);
  assert.equal(age('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:01:00Z')), '60s');
  assert.equal(age(undefined, 0), '–');
  assert.deepEqual([30_000, 60_000, 590_000].map(minutes), ['less than a minute', '1 minute', '9 minutes']);
});

const status = (change: Partial<ContainerStatus>): ContainerStatus => ({ name: 'main', ready: false, restartCount: 0, image: 'i', ...change });
const pod = (phase: string, statuses: ContainerStatus[], change: Partial<Pod> = {}): Pod => ({
  metadata: { name: 'p', uid: '1', namespace: 'n' },
  spec: { containers: statuses.map(({ name }) => ({ name })), nodeName: 'edge-1' },
  status: { phase, containerStatuses: statuses },
  ...change,
});

test('pods say what kubectl says', () => {
  const running = status({ ready: true, state: { running: {} } });
  const said = (one: Pod): string => {
    const { status: text, tone, ready, containers, restarts } = summarize(one);
    return `${text} ${tone} ${ready}/${containers} ${restarts}`;
  };
  assert.equal(said(pod('Running', [running])), 'Running good 1/1 0');
  assert.equal(said(pod('Running', [running, status({ name: 'b', restartCount: 2, state: { running: {} } })])), 'Running busy 1/2 2');
  assert.equal(said(pod('Pending', [status({ state: { waiting: { reason: 'ContainerCreating' } } })])), 'ContainerCreating busy 0/1 0');
  assert.equal(said(pod('Running', [status({ restartCount: 4, state: { waiting: { reason: 'CrashLoopBackOff' } } })])), 'CrashLoopBackOff bad 0/1 4');
  assert.equal(said(pod('Succeeded', [status({ state: { terminated: { exitCode: 0, reason: 'Completed' } } })])), 'Completed done 0/1 0');
  assert.equal(said(pod('Failed', [status({ state: { terminated: { exitCode: 3 } } })])), 'ExitCode:3 bad 0/1 0');
  assert.equal(said(pod('Failed', [status({ state: { terminated: { exitCode: 0, signal: 9 } } })])), 'Signal:9 bad 0/1 0');
  assert.equal(said(pod('Failed', [], { status: { phase: 'Failed', reason: 'Evicted' } })), 'Evicted bad 0/0 0');
  const ending = pod('Running', [running]);
  ending.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
  assert.equal(said(ending), 'Terminating busy 1/1 0');
  // One container has ended and the other runs on.
  const half = pod('Running', [running, status({ name: 'b', state: { terminated: { exitCode: 0, reason: 'Completed' } } })]);
  assert.equal(summarize(half).status, 'NotReady');
});

test('init containers come first', () => {
  const one = pod('Pending', [status({ state: { waiting: { reason: 'PodInitializing' } } })]);
  one.spec.initContainers = [{ name: 'a' }, { name: 'b' }];
  const init = (...all: ContainerStatus[]): string => {
    one.status = { ...one.status, initContainerStatuses: all };
    const { status: text, tone } = summarize(one);
    return `${text} ${tone}`;
  };
  const done = status({ name: 'a', state: { terminated: { exitCode: 0 } } });
  assert.equal(init(status({ name: 'a', state: { running: {} } }), status({ name: 'b' })), 'Init:0/2 busy');
  assert.equal(init(done, status({ name: 'b', state: { waiting: { reason: 'CrashLoopBackOff' } } })), 'Init:CrashLoopBackOff bad');
  assert.equal(init(done, status({ name: 'b', state: { terminated: { exitCode: 2 } } })), 'Init:ExitCode:2 bad');
  assert.equal(init(done, done), 'PodInitializing busy');
});

test('a pod that fits nowhere says why', () => {
  const waiting: Pod = {
    metadata: { name: 'p', uid: '1' },
    spec: { containers: [{ name: 'main' }] },
    status: { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes are available' }] },
  };
  assert.deepEqual([summarize(waiting).status, summarize(waiting).message], ['Pending', '0/1 nodes are available']);
});

test('what pods take of nodes', () => {
  const asks = (cpu: string): Pod['spec']['containers'][number] => ({ name: cpu, resources: { requests: { cpu, memory: '1Gi' } } });
  const one = pod('Running', []);
  one.spec = { nodeName: 'edge-1', containers: [asks('250m'), asks('1')], initContainers: [asks('2')] };
  assert.equal(requested(one, 'cpu', quantity), 2, 'an init container runs alone');
  one.spec.initContainers = [{ ...asks('500m'), restartPolicy: 'Always' }];
  assert.equal(requested(one, 'cpu', quantity), 1.75, 'a sidecar runs beside');
  const ended = pod('Succeeded', []);
  assert.deepEqual(requestedByNode([one, ended]).get('edge-1'), { cpu: 1.75, memory: 3 * 2 ** 30, pods: 1 });
});

test('nodes', () => {
  const node = (conditions: [string, string][], change: Partial<Node> = {}): Node => ({
    metadata: { name: 'n', uid: '1', labels: { 'node-role.kubernetes.io/worker': '' } },
    status: { conditions: conditions.map(([type, state]) => ({ type, status: state })), allocatable: { cpu: '2', memory: '4Gi', pods: '110' } },
    ...change,
  });
  const said = (one: Node): string => `${summarizeNode(one).status} ${summarizeNode(one).tone} ${summarizeNode(one).roles}`;
  assert.equal(said(node([['Ready', 'True'], ['DiskPressure', 'False']])), 'Ready good worker');
  assert.equal(said(node([['Ready', 'True'], ['DiskPressure', 'True']])), 'Ready, DiskPressure bad worker');
  assert.equal(said(node([['Ready', 'Unknown']])), 'Unknown bad worker');
  assert.equal(said(node([['Ready', 'True']], { spec: { unschedulable: true } })), 'Ready, cordoned busy worker');
  assert.deepEqual(allocatable(node([])), { cpu: 2, memory: 4 * 2 ** 30, pods: 110 });
});

test('workloads', () => {
  const of = (spec: Workload['spec'], state: Workload['status']): Workload => ({ metadata: { name: 'w', uid: '1', generation: 2 }, spec, status: state });
  const said = (kind: string, one: Workload): string => {
    const { status: text, tone, ready, wanted } = summarizeWorkload(kind, one);
    return `${text} ${tone} ${ready}/${wanted}`;
  };
  const seen = { observedGeneration: 2 };
  assert.equal(said('Deployment', of({ replicas: 3 }, { ...seen, readyReplicas: 3, updatedReplicas: 3 })), 'Available good 3/3');
  assert.equal(said('Deployment', of({ replicas: 3 }, { ...seen, readyReplicas: 3, updatedReplicas: 1 })), 'Progressing busy 3/3');
  assert.equal(said('Deployment', of({ replicas: 3 }, { observedGeneration: 1, readyReplicas: 3, updatedReplicas: 3 })), 'Progressing busy 3/3');
  assert.equal(said('Deployment', of({}, seen)), 'Not available busy 0/1');
  assert.equal(said('Deployment', of({ replicas: 0 }, seen)), 'Scaled to zero done 0/0');
  const stuck = { ...seen, conditions: [{ type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded' }] };
  assert.equal(said('Deployment', of({}, stuck)), 'ProgressDeadlineExceeded bad 0/1');
  assert.equal(said('DaemonSet', of({}, { ...seen, desiredNumberScheduled: 2, numberReady: 2, updatedNumberScheduled: 2 })), 'Available good 2/2');
  assert.equal(said('Job', of({ completions: 2 }, { succeeded: 2, conditions: [{ type: 'Complete', status: 'True' }] })), 'Complete done 2/2');
});

test('selectors', () => {
  const labels = { app: 'web', tier: 'front' };
  assert.ok(matches({ matchLabels: { app: 'web' } }, labels));
  assert.ok(!matches({ matchLabels: { app: 'db' } }, labels));
  assert.ok(!matches(undefined, labels), 'no selector selects nothing');
  const check = (operator: string, values?: string[]): boolean => matches({ matchExpressions: [{ key: 'tier', operator, ...(values ? { values } : {}) }] }, labels);
  assert.deepEqual([check('In', ['front']), check('NotIn', ['front']), check('Exists'), check('DoesNotExist')], [true, false, true, false]);
});

test('search', () => {
  const all: Obj[] = ['web-1', 'web-2', 'db'].map((name) => ({ metadata: { name, uid: name, namespace: 'shop', labels: { app: name } } }));
  const names = (text: string): string[] => searched(all, text).map((one) => one.metadata.name);
  assert.deepEqual(names('WEB'), ['web-1', 'web-2']);
  assert.deepEqual(names('shop web 2'), ['web-2']);
  assert.deepEqual(names('app=db'), ['db']);
  assert.deepEqual(names('  ').length, 3);
  assert.equal(seenAt({ metadata: { name: 'e', uid: '1' }, involvedObject: {}, lastTimestamp: null, eventTime: '1970-01-01T00:00:01Z' }), 1000);
});

test('YAML', () => {
  const object = {
    kind: 'Pod',
    metadata: { name: 'a', annotations: { 'x/y': 'true', n: '12', z: '' } },
    list: [{ name: 'b', args: ['-c', 'echo "hi"\nexit 3\n'] }, [], [1, [2]], 'no', null],
    empty: {},
    cpu: '250m',
    image: 'registry.local/a:1',
    time: '12:30',
    colon: 'a: b',
    gone: undefined,
  };
  assert.equal(
    toYaml(object),
    `kind: Pod
metadata:
  name: a
  annotations:
    x/y: "true"
    "n": "12"
    z: ""
list:
- name: b
  args:
  - "-c"
  - |
    echo "hi"
    exit 3
- []
- - 1
  - - 2
- "no"
- null
empty: {}
cpu: 250m
image: registry.local/a:1
time: "12:30"
colon: "a: b"
`,
  );
});

test('ranges', () => {
  assert.equal(readRange('6h').title, 'Last 6 hours');
  assert.equal(readRange(null).id, '1h');
  assert.equal(readRange('nonsense').id, '1h');
  const dragged = readRange('1000-2000');
  assert.deepEqual([dragged.start(9), dragged.end(9), dragged.moves], [1000, 2000, false]);
  assert.equal(readRange('2000-1000').id, '1h');
  assert.deepEqual([900, 3600, 86_400, 2_592_000].map(stepOf), [15, 15, 360, 10_800]);
  assert.deepEqual([15, 60, 360].map(windowOf), ['120s', '120s', '720s']);
});

test('sums of what is known', () => {
  assert.deepEqual(sumKnown([1, NaN, 2]), { sum: 3, of: 2 });
  assert.ok(Number.isNaN(sumKnown([NaN]).sum) && Number.isNaN(sumKnown([]).sum));
});
