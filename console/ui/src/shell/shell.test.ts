import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aheadBy } from '../clock';
import { placeOf } from '../parts/events';
import { alone, bounds, times } from '../parts/bounds';
import { podsOf } from '../parts/dashboards';
import { compare, inSight } from '../parts/sight';
import { loaded } from '../load';
import { href, namespace, parse } from '../router';
import { places, sentence, verdict, within } from '../sections/impact/model';
import { matters } from '../sections/overview/attention';
import { afterwards, isLater, newer, plain, readLog, split } from '../sections/workloads/lines';
import { cleaned, expiry } from '../session';
import { rank } from './rank';

test('addresses', () => {
  assert.deepEqual(parse('/console/workloads/pods/a/b%2Fc', '?ns=x').path, ['workloads', 'pods', 'a', 'b/c']);
  assert.deepEqual(parse('/console/%E0', '').path, ['%E0'], 'what cannot be decoded is taken as it is');
  assert.equal(href(['nodes', 'a/b'], { range: '1h', none: undefined }), '/console/nodes/a%2Fb?range=1h');
  namespace.set('shop');
  assert.equal(href(['nodes']), '/console/nodes?ns=shop');
  assert.equal(href(['nodes'], { ns: undefined }), '/console/nodes');
  namespace.set('');
  assert.equal(placeOf('Deployment', 'shop', 'web'), '/console/workloads/deployments/shop/web');
  assert.equal(placeOf('Node', undefined, 'edge-1'), '/console/nodes/edge-1');
  assert.equal(placeOf('Secret', 'shop', 'x'), undefined);
});

test('tokens as they are pasted', () => {
  assert.equal(cleaned(' Authorization: Bearer a.b.c \n'), 'a.b.c');
  assert.equal(cleaned('"a.b\n.c"'), 'a.b.c');
  const token = `x.${btoa(JSON.stringify({ exp: 12 }))}.y`;
  assert.equal(expiry(token), 12_000);
  assert.equal(expiry('opaque'), null);
});

test('only rows in sight are drawn', () => {
  assert.deepEqual(inSight(50, 33, 0, 800), [0, 50]);
  const [first, last] = inSight(5000, 33, -33 * 1000, 800);
  assert.ok(first <= 1000 && first > 900 && last >= 1025 && last < 1100, `${first} ${last}`);
  const end = inSight(5000, 33, -33 * 6000, 800);
  assert.ok(end[0] < 5000 && end[1] === 5000, String(end));
  assert.ok(compare('web-2', 'web-10') < 0 && compare(NaN, 0) < 0 && compare(3, 2) > 0);
});

test('the palette prefers what begins with the letters', () => {
  const order = ['a web', 'web', 'w-e-b', 'db'].filter((text) => rank(text, 'web') !== null).sort((a, b) => (rank(a, 'web') ?? 0) - (rank(b, 'web') ?? 0));
  assert.deepEqual(order, ['web', 'a web', 'w-e-b']);
});

test('logs', () => {
  assert.deepEqual(readLog('2026-01-01T00:00:00.1Z hello you', 1), { id: 1, time: '2026-01-01T00:00:00.1Z', text: 'hello you' });
  assert.deepEqual(readLog('plain text', 2), { id: 2, time: '', text: 'plain text' });
  assert.deepEqual(split('an Error, error', 'ERROR'), ['an ', 'Error', ', ', 'error', '']);
  assert.deepEqual(split('x', ''), ['x']);
  assert.equal(plain('\u001b[31mred\u001b[0m\r'), 'red');
});

test('scales', () => {
  assert.deepEqual(bounds(0, 0, undefined), [0, 1]);
  assert.deepEqual(bounds(0.1, 0.5, 1), [0, 1]);
  assert.deepEqual(bounds(null, null, 1), [0, 1]);
  assert.equal(bounds(-5, 10, undefined)[0], -5);
  assert.deepEqual(alone([1, null, 2, 3, null, 4]), [0, 5]);
  assert.deepEqual([alone([1, 2]), alone([]), alone([7])], [null, null, [0]]);
  const at = Date.parse('2026-11-24T18:05:00Z') / 1000;
  const written = [3600, 7 * 86_400, 30 * 86_400].map((long) => times(at - long, at, 'UTC')(at));
  assert.deepEqual(written, ['18:05', '24 Nov, 18:05', '24 Nov']);
});

test('what needs attention', () => {
  const now = Date.parse('2026-01-01T01:00:00Z');
  const made = (creationTimestamp: string, reason: string) => ({
    metadata: { name: reason, namespace: 'n', uid: reason, creationTimestamp },
    spec: { containers: [{ name: 'c' }] },
    status: { phase: 'Pending', containerStatuses: [{ name: 'c', ready: false, restartCount: 0, image: 'i', state: { waiting: { reason } } }] },
  });
  const pods = [made('2026-01-01T00:59:30Z', 'ContainerCreating'), made('2026-01-01T00:00:00Z', 'PodInitializing'), made('2026-01-01T00:59:59Z', 'ErrImagePull')];
  assert.deepEqual(matters([], pods, [], now).map((one) => one.what), ['PodInitializing', 'ErrImagePull']);
});

test('impact', () => {
  const evidence = { metric: 'full_file_system', value: 0.0204, threshold: 0.03, unit: 'ratio', query: 'x' };
  assert.equal(sentence(evidence), 'full file system 2.0 %, where 3.0 % counts');
  assert.equal(sentence({ metric: 'free', value: 2048, unit: 'bytes' }), 'free 2 KiB');
  const touched = { kind: 'StatefulSet', namespace: 'shop', name: 'db', pods: ['db-0'], certainty: 'certain' as const, why: 'its data is there' };
  assert.deepEqual(places(touched).map((one) => one.href), ['/console/workloads/statefulsets/shop/db', '/console/workloads/pods/shop/db-0']);
  const problem = { node: 'a', kind: 'k', severity: 'critical' as const, resource: 'disk', summary: 's', detail: 'd', hint: 'h', evidence: [evidence], affected: [touched] };
  assert.deepEqual([within([problem], '').length, within([problem], 'shop').length, within([problem], 'other').length], [1, 1, 0]);
  assert.equal(within([{ ...problem, affected: [] }], 'other').length, 1, 'whom it touches is not known');
  assert.equal(verdict({ problems: [], missing: [] }, '').title, 'No machine troubles a workload');
  assert.equal(verdict({ problems: [problem], missing: [] }, 'other').title, 'No machine troubles a workload in namespace other');
  assert.match(verdict({ problems: [], missing: ['Prometheus'] }, '').title, /^No problem is known/);
});

test('pods of a workload, and no other’s', () => {
  const fits = (kind: string, name: string, pod: string): boolean => new RegExp(`^(?:${podsOf(kind, name)})$`).test(pod);
  const cases: [string, string, string, boolean][] = [
    ['Deployment', 'web', 'web-7d4b9c6f5-x2x9k', true],
    ['Deployment', 'web', 'web-admin-7d4b9c6f5-x2x9k', false],
    ['Deployment', 'web', 'web-admin-x2x9k', false],
    ['Deployment', 'web.a', 'webxa-7d4b9c6f5-x2x9k', false],
    ['StatefulSet', 'db', 'db-12', true],
    ['StatefulSet', 'db', 'db-copy-0', false],
    ['DaemonSet', 'log', 'log-x2x9k', true],
    ['DaemonSet', 'log', 'log-7d4b9c6f5-x2x9k', false],
    ['Job', 'pi', 'pi-x2x9k', true],
    ['Job', 'pi', 'pi-3-x2x9k', true],
    ['Job', 'a'.repeat(60), `${'a'.repeat(58)}x2x9k`, true],
    ['Deployment', 'b'.repeat(50), `${'b'.repeat(50)}-7d4b9c6x2x9k`, true],
  ];
  for (const [kind, name, pod, expected] of cases) assert.equal(fits(kind, name, pod), expected, `${kind} ${name}: ${pod}`);
});

test('logs go on where they broke off', () => {
  assert.ok(isLater('2026-01-01T00:00:00.12Z', '2026-01-01T00:00:00.1Z') && !isLater('2026-01-01T00:00:00.1Z', '2026-01-01T00:00:00.12Z'));
  assert.ok(isLater('2026-01-01T00:00:01Z', '2026-01-01T00:00:00.999999999Z') && isLater('2026-01-01T01:00:00.000000002+01:00', '2026-01-01T00:00:00.000000001Z'));
  const lines = ['2026-01-01T00:00:00.1Z a', '2026-01-01T00:00:00.2Z b', '2026-01-01T00:00:01Z c'].map(readLog);
  assert.deepEqual(newer(lines, '2026-01-01T00:00:00.2Z').map(({ text }) => text), ['c']);
  assert.equal(newer(lines, '').length, 3);
});

test('what follows a log’s end', () => {
  const cases: [number | null, 'follow' | 'now' | 'previous', boolean, string][] = [
    [null, 'follow', true, 'again'], // the stream broke off
    [null, 'follow', false, 'rest'], // the container has ended
    [null, 'now', true, 'stop'],
    [null, 'previous', true, 'stop'],
    [400, 'follow', false, 'rest'], // ContainerCreating
    [400, 'follow', true, 'again'], // the node does not know yet what the watch has told
    [400, 'now', false, 'rest'],
    [400, 'previous', true, 'stop'],
    [404, 'follow', true, 'stop'],
    [403, 'follow', true, 'stop'],
    [0, 'follow', false, 'again'],
    [502, 'now', false, 'again'],
    [503, 'previous', false, 'again'],
  ];
  for (const [status, asked, runs, expected] of cases) assert.equal(afterwards(status, asked, runs), expected, `${status} ${asked} ${runs}`);
});

test('the server’s clock', () => {
  const at = Date.parse('2026-01-01T00:00:00Z');
  const date = new Date(at).toUTCString();
  assert.equal(aheadBy(date, at - 2000, 0), 0, 'whole seconds and the way are no difference');
  assert.equal(aheadBy(date, at - 3_600_000, 0), 3_600_000);
  assert.equal(aheadBy(date, at + 60_000, 0), -60_000);
  assert.equal(aheadBy(date, at - 61_000, 60_000), 60_000);
  assert.deepEqual([aheadBy(null, 0, 5), aheadBy('nonsense', 0, 5)], [5, 5]);
});

test('what cannot be loaded says what to do', async () => {
  await assert.rejects(loaded(() => Promise.reject(new TypeError('Failed to fetch'))), { message: /could not be loaded/, hint: /reload the page/ });
  assert.equal(await loaded(async () => 1), 1);
});
