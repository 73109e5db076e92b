import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resourcesOf, unserved, Catalog } from './catalog';
import { ApiError, readError } from './http';
import { NODES, path, PODS, restartPatch } from './kube';
import { Splitter } from './lines';
import { readLine } from './live';
import { aligned, highest, number, whatFailed } from './prometheus';
import { byPod } from './usage';
import { sleep, Watchdog } from './wait';
import { applyEvent } from './watch';
import type { Obj } from './kube';

test('errors of all our APIs can be read', () => {
  const problem = readError(403, '{"type":"about:blank","title":"Forbidden","status":403,"detail":"no","hint":"ask"}');
  assert.deepEqual([problem.message, problem.hint], ['no', 'ask']);
  const status = readError(410, '{"kind":"Status","message":"too old","reason":"Expired","code":410}');
  assert.deepEqual([status.message, status.reason, status.status], ['too old', 'Expired', 410]);
  assert.equal(readError(422, '{"status":"error","errorType":"bad_data","error":"parse error"}').message, 'parse error');
  assert.equal(readError(502, '<html>').message, '<html>');
  assert.equal(readError(502, '').message, 'the server answered 502');
  assert.equal(readError(500, 'null').message, 'null');
});

test('lines come in pieces', () => {
  const splitter = new Splitter();
  assert.deepEqual(splitter.push('a\nb'), ['a']);
  assert.deepEqual(splitter.push('c\n\nd'), ['bc', '']);
  assert.deepEqual(splitter.finish(), ['d']);
  assert.deepEqual(splitter.finish(), []);
});

test('paths', () => {
  assert.equal(path(PODS, 'a b', 'x/y', 'log'), '/kubernetes/api/v1/namespaces/a%20b/pods/x%2Fy/log');
  assert.equal(path(PODS), '/kubernetes/api/v1/pods');
  assert.equal(path(NODES, 'ignored', 'n'), '/kubernetes/api/v1/nodes/n');
  const patch = JSON.stringify(restartPatch(new Date(0)));
  assert.ok(patch.includes('"kubectl.kubernetes.io/restartedAt":"1970-01-01T00:00:00.000Z"'), patch);
});

test('a list stays current', () => {
  const objects = new Map<string, Obj>();
  const object = (uid: string, resourceVersion: string): Obj => ({ metadata: { name: uid, uid, resourceVersion } });
  let version = applyEvent(objects, { type: 'ADDED', object: object('a', '5') }, '4');
  version = applyEvent(objects, { type: 'MODIFIED', object: object('a', '6') }, version);
  version = applyEvent(objects, { type: 'ADDED', object: object('b', '7') }, version);
  version = applyEvent(objects, { type: 'BOOKMARK', object: object('', '9') }, version);
  assert.deepEqual([[...objects.keys()], version, objects.get('a')?.metadata.resourceVersion], [['a', 'b'], '9', '6']);
  applyEvent(objects, { type: 'DELETED', object: object('a', '10') }, version);
  assert.deepEqual([...objects.keys()], ['b']);
  const managed = { metadata: { name: 'c', uid: 'c', managedFields: [{}] } } as unknown as Obj;
  applyEvent(objects, { type: 'ADDED', object: managed }, version);
  assert.ok(!('managedFields' in (objects.get('c')?.metadata ?? {})));
});

test('what is served', () => {
  const found = resourcesOf({ items: [{ metadata: { name: 'apps' }, versions: [{ resources: [{ resource: 'deployments' }] }] }, { metadata: {}, versions: [{ resources: [{ resource: 'pods' }] }] }] });
  const catalog = new Catalog(new Set(['/v1/nodes/{name}', '/prometheus/{path}']), found);
  assert.ok(catalog.has(PODS) && !catalog.has(NODES));
  assert.ok(catalog.serves('/prometheus') && catalog.serves('/v1/nodes') && !catalog.serves('/v1/node'));
  assert.deepEqual([...resourcesOf(null)], []);
  assert.deepEqual([403, 404, 0, 500, 503].map((status) => unserved(new ApiError(status, ''))), [true, true, false, false, false]);
});

test('the live stream', () => {
  assert.equal(readLine(''), null);
  assert.equal(readLine('{"x":1}'), null);
  assert.equal(readLine('{"time":"t","node":"a","cpu":{"used_ratio":0.5}}')?.cpu?.used_ratio, 0.5);
});

test('Prometheus', () => {
  assert.deepEqual(['1.5', 'NaN', '+Inf', '-Inf', '1e3'].map(number), [1.5, null, null, null, 1000]);
  const { times, columns } = aligned([{ labels: {}, points: [[30, 1], [60, 3], [90, 9]] }], 15, 60, 15);
  assert.deepEqual([times, columns], [[15, 30, 45, 60], [[null, 1, null, 3]]]);
  const labels = { namespace: 'n', pod: 'p' };
  assert.deepEqual(byPod([{ labels, value: 1 }], [{ labels, value: 2 }]).get('n/p'), { cpu: 1, memory: 2 });
});

test('the lines that reach highest are kept, by name', () => {
  const line = (name: string, ...values: (number | null)[]) => ({ name, labels: {}, points: values.map((value, n): [number, number | null] => [n, value]) });
  const all = [line('web-10', 1, 2), line('web-9', 3, null), line('eater', 0, 99), line('idle', null), line('none')];
  assert.deepEqual(highest(all, 3).map(({ name }) => name), ['eater', 'web-9', 'web-10']);
  assert.equal(highest(all, 9).length, 5);
});

test('refusing is an answer', () => {
  const said = [0, 400, 403, 422, 500, 503].map(whatFailed);
  assert.deepEqual(said.map((text) => /does not answer|refuses|may not|failed/.exec(text)?.[0]), ['does not answer', 'refuses', 'may not', 'refuses', 'failed', 'does not answer']);
});

test('waiting leaves nothing behind', async () => {
  const stop = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = stop.signal;
  stop.signal.addEventListener = (...given: unknown[]) => void (listeners += 1, Reflect.apply(addEventListener, stop.signal, given));
  stop.signal.removeEventListener = (...given: unknown[]) => void (listeners -= 1, Reflect.apply(removeEventListener, stop.signal, given));
  await sleep(1, stop.signal);
  assert.equal(listeners, 0);
  setTimeout(() => stop.abort(), 5);
  const began = Date.now();
  await sleep(60_000, stop.signal);
  await sleep(60_000, stop.signal);
  assert.ok(Date.now() - began < 10_000);
});

test('a watchdog bites when it is not fed', async () => {
  let bitten = 0;
  const dog = new Watchdog(60, () => (bitten += 1));
  for (let n = 0; n < 4; n += 1) {
    await new Promise((wake) => setTimeout(wake, 25));
    dog.feed();
  }
  assert.equal(bitten, 0);
  await new Promise((wake) => setTimeout(wake, 120));
  assert.equal(bitten, 1);
  dog.end();
});
