import { catalog } from '../../api/catalog';
import { PODS } from '../../api/kube';
import { href, namespace } from '../../router';
import type { Section } from '../../section';
import { KINDS } from './kinds';

export const section: Section = {
  id: 'workloads',
  title: 'Workloads',
  icon: 'M8 1.5 14 5v6l-6 3.5L2 11V5zM2 5l6 3.5L14 5M8 8.5v6',
  order: 30,
  key: 'w',
  load: () => import('./workloads'),
  find: async () => {
    const { names } = await import('../../api/names');
    const all = [...KINDS, { id: 'pods', of: PODS }].filter(({ of }) => catalog.value?.has(of) ?? true);
    // What may not be listed is not found; the others are.
    const found = await Promise.allSettled(all.map(({ of }) => names(of, namespace.value)));
    return found.flatMap((one, n) => {
      const { id, of } = all[n] as (typeof all)[number];
      if (one.status === 'rejected') return [];
      return one.value.map(({ name, namespace: space }) => ({ title: name, detail: `${of.kind} in ${space}`, href: href(['workloads', id, space, name]) }));
    });
  },
};
