import { DEPLOYMENTS, PODS } from '../../api/kube';
import { href } from '../../router';
import type { Section } from '../../section';

export const section: Section = {
  id: 'workloads',
  title: 'Workloads',
  icon: 'M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.5v6',
  order: 30,
  key: 'w',
  load: () => import('./workloads'),
  find: async () => {
    const { names } = await import('../../api/names');
    const [deployments, pods] = await Promise.all([names(DEPLOYMENTS), names(PODS)]);
    const lead = (tab: string, kind: string, all: { name: string; namespace?: string }[]) =>
      all.map(({ name, namespace }) => ({ title: name, detail: `${kind} in ${namespace}`, href: href(['workloads', tab, namespace, name]) }));
    return [...lead('deployments', 'deployment', deployments), ...lead('pods', 'pod', pods)];
  },
};
