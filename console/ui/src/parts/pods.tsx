/** A list of pods, as several screens show it. */

import type { ComponentChildren } from 'preact';
import { usePodUsage } from '../api/usage';
import { summarize } from '../model/pods';
import { bytes, cpus, UNKNOWN } from '../model/quantity';
import type { Pod } from '../model/types';
import { href } from '../router';
import { Age, Named, Status } from './basics';
import { Table, type Column } from './table';

export const podHref = (pod: Pod): string => href(['workloads', 'pods', pod.metadata.namespace, pod.metadata.name]);

export function PodTable({ pods, without, empty }: { pods: Pod[]; without?: 'node' | 'namespace'; empty: ComponentChildren }) {
  const usage = usePodUsage();
  const of = (pod: Pod) => usage.get(`${pod.metadata.namespace}/${pod.metadata.name}`);
  const all: Column<Pod>[] = [
    { id: 'name', title: 'Name', cell: (pod) => <Named of={pod} namespace={without !== 'namespace'} />, sort: (pod) => pod.metadata.name },
    { id: 'namespace', title: 'Namespace', width: '8rem', wide: true, cell: (pod) => pod.metadata.namespace, sort: (pod) => pod.metadata.namespace ?? '' },
    {
      id: 'status',
      title: 'Status',
      width: '11.5rem',
      cell: (pod) => {
        const { tone, status } = summarize(pod);
        return <Status tone={tone}>{status}</Status>;
      },
      sort: (pod) => summarize(pod).status,
    },
    {
      id: 'ready',
      title: 'Ready',
      width: '4.2rem',
      end: true,
      cell: (pod) => {
        const { ready, containers } = summarize(pod);
        return `${ready}/${containers}`;
      },
      sort: (pod) => summarize(pod).ready,
    },
    { id: 'restarts', title: 'Restarts', width: '5.2rem', end: true, wide: true, cell: (pod) => summarize(pod).restarts, sort: (pod) => summarize(pod).restarts },
    { id: 'cpu', title: 'CPU', width: '4.5rem', end: true, wide: true, cell: (pod) => cpus(of(pod)?.cpu), sort: (pod) => of(pod)?.cpu ?? -1 },
    { id: 'memory', title: 'Memory', width: '5.5rem', end: true, wide: true, cell: (pod) => bytes(of(pod)?.memory), sort: (pod) => of(pod)?.memory ?? -1 },
    { id: 'node', title: 'Node', width: '7rem', wide: true, cell: (pod) => pod.spec.nodeName ?? UNKNOWN, sort: (pod) => pod.spec.nodeName ?? '' },
    { id: 'age', title: 'Age', width: '4.5rem', end: true, wide: true, cell: (pod) => <Age since={pod.metadata.creationTimestamp} />, sort: (pod) => -Date.parse(pod.metadata.creationTimestamp ?? '') },
  ];
  return <Table label="Pods" rows={pods} id={(pod) => pod.metadata.uid} href={podHref} sort="name" columns={all.filter((column) => column.id !== without)} empty={empty} />;
}
