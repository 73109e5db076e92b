/** The Kubernetes API, by way of our own server. */

import { askJson, send } from './http';

export interface Meta {
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: { kind: string; name: string; uid: string; controller?: boolean }[];
}

export interface Obj {
  apiVersion?: string;
  kind?: string;
  metadata: Meta;
}

/** A kind of object: where it is served. */
export interface Resource {
  group: string;
  version: string;
  plural: string;
  kind: string;
  namespaced: boolean;
}

const resource = (group: string, version: string, plural: string, kind: string, namespaced = true): Resource => ({
  group,
  version,
  plural,
  kind,
  namespaced,
});

export const NODES = resource('', 'v1', 'nodes', 'Node', false);
export const NAMESPACES = resource('', 'v1', 'namespaces', 'Namespace', false);
export const PODS = resource('', 'v1', 'pods', 'Pod');
export const EVENTS = resource('', 'v1', 'events', 'Event');
export const SERVICES = resource('', 'v1', 'services', 'Service');
export const DEPLOYMENTS = resource('apps', 'v1', 'deployments', 'Deployment');
export const REPLICA_SETS = resource('apps', 'v1', 'replicasets', 'ReplicaSet');
export const STATEFUL_SETS = resource('apps', 'v1', 'statefulsets', 'StatefulSet');
export const DAEMON_SETS = resource('apps', 'v1', 'daemonsets', 'DaemonSet');
export const JOBS = resource('batch', 'v1', 'jobs', 'Job');
export const DEVICES = resource('minicloud.io', 'v1', 'devices', 'Device', false);

/** The path of a list, an object or a subresource. */
export function path(of: Resource, namespace?: string, name?: string, subresource?: string): string {
  const group = of.group === '' ? `/api/${of.version}` : `/apis/${of.group}/${of.version}`;
  const parts = ['/kubernetes', group];
  if (of.namespaced && namespace) parts.push(`/namespaces/${encodeURIComponent(namespace)}`);
  parts.push(`/${of.plural}`);
  if (name) parts.push(`/${encodeURIComponent(name)}`);
  if (subresource) parts.push(`/${subresource}`);
  return parts.join('');
}

export function patch<T>(of: Resource, meta: Meta, body: unknown, subresource?: string): Promise<T> {
  return send<T>('PATCH', path(of, meta.namespace, meta.name, subresource), body, 'application/merge-patch+json');
}

export function remove(of: Resource, meta: Meta): Promise<unknown> {
  // The object that was looked at, not one that took its name meanwhile.
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background', preconditions: { uid: meta.uid } };
  return send('DELETE', path(of, meta.namespace, meta.name), options);
}

/** What `kubectl rollout restart` does: a new template, so new pods. */
export function restartPatch(now: Date): unknown {
  const annotations = { 'kubectl.kubernetes.io/restartedAt': now.toISOString() };
  return { spec: { template: { metadata: { annotations } } } };
}

export interface Self {
  user: string;
  groups: string[];
}

/** Whose token this is. Fails with 401 for one that does not hold. */
export async function whoAmI(token: string): Promise<Self> {
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
  const answer = await send<{ status?: { userInfo?: { username?: string; groups?: string[] } } }>(
    'POST',
    '/kubernetes/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body,
    'application/json',
    { token },
  );
  const info = answer.status?.userInfo;
  return { user: info?.username ?? '', groups: info?.groups ?? [] };
}

export interface ListOf<T> {
  metadata: { resourceVersion?: string; continue?: string };
  items: T[];
}

export const getObject = <T>(of: Resource, namespace: string | undefined, name: string): Promise<T> =>
  askJson<T>(path(of, namespace, name));
