/** What can be done to workloads; offered only to whom the Kubernetes API allows it. */

import { useState } from 'preact/hooks';
import { useAllowed } from '../../api/access';
import { patch, PODS, remove, restartPatch } from '../../api/kube';
import type { Pod, Workload } from '../../model/types';
import { Confirm, type Asked } from '../../parts/dialog';
import { go, href } from '../../router';
import type { Kind } from './kinds';

export function WorkloadActions({ kind, object }: { kind: Kind; object: Workload }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const { namespace = '', name } = object.metadata;
  const one = { of: kind.of, namespace, name };
  const [mayPatch, mayScale, mayDelete] = useAllowed([
    { verb: 'patch', ...one },
    { verb: 'patch', subresource: 'scale', ...one },
    { verb: 'delete', ...one },
  ]);
  const what = kind.of.kind;
  const restart: Asked = {
    title: `Restart ${name}?`,
    text: 'New pods take the place of the old ones, a few at a time, as the strategy says.',
    action: 'Restart',
    done: `${name} restarts.`,
    act: () => patch(kind.of, object.metadata, restartPatch(new Date())),
  };
  const scale: Asked = {
    title: `Scale ${name}`,
    text: 'How many pods should run?',
    number: object.spec?.replicas ?? 1,
    action: 'Scale',
    done: `${name} is being scaled.`,
    act: (replicas) => patch(kind.of, object.metadata, { spec: { replicas } }, 'scale'),
  };
  const destroy: Asked = {
    title: `Delete ${what} ${name}?`,
    text: `The ${what} and its pods are deleted. This cannot be undone.`,
    typed: name,
    danger: true,
    action: 'Delete',
    done: `${name} is deleted.`,
    act: async () => {
      await remove(kind.of, object.metadata);
      go(href(['workloads', kind.id]));
    },
  };
  return (
    <>
      {mayPatch && kind.can.includes('restart') && (
        <button type="button" onClick={() => setAsked(restart)}>
          Restart …
        </button>
      )}
      {mayScale && kind.can.includes('scale') && (
        <button type="button" onClick={() => setAsked(scale)}>
          Scale …
        </button>
      )}
      {mayDelete && (
        <button type="button" class="danger" onClick={() => setAsked(destroy)}>
          Delete …
        </button>
      )}
      {asked && <Confirm ask={asked} close={() => setAsked(null)} />}
    </>
  );
}

export function PodActions({ pod }: { pod: Pod }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const { namespace = '', name, ownerReferences } = pod.metadata;
  const [mayDelete] = useAllowed([{ verb: 'delete', of: PODS, namespace, name }]);
  if (!mayDelete) return null;
  const owner = ownerReferences?.find((one) => one.controller);
  const destroy: Asked = {
    title: `Delete pod ${name}?`,
    text: owner ? `${owner.kind} ${owner.name} makes another in its place.` : 'Nothing makes another in its place. This cannot be undone.',
    danger: true,
    action: 'Delete',
    done: `${name} is being deleted.`,
    ...(owner ? {} : { typed: name }),
    act: () => remove(PODS, pod.metadata),
  };
  return (
    <>
      <button type="button" class="danger" onClick={() => setAsked(destroy)}>
        Delete …
      </button>
      {asked && <Confirm ask={asked} close={() => setAsked(null)} />}
    </>
  );
}
