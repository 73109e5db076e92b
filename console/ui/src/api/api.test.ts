import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resourcesOf, Catalog } from './catalog';
import { readError } from './http';
import { NODES, path, PODS, restartPatch } from './kube';
import { Splitter } from './lines';
import { readLine } from './live';
import { aligned, number } from './prometheus';
import { byPod } from './usage';
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
