import { NODES } from '../../api/kube';
import { href } from '../../router';
import type { Section } from '../../section';

export const section: Section = {
  id: 'nodes',
  title: 'Nodes',
  icon: 'M2 3h12v4H2zM2 9h12v4H2zM4.5 5h.01M4.5 11h.01',
  order: 20,
  key: 'n',
  load: () => import('./nodes'),
  find: async () => {
    const { names } = await import('../../api/names');
    return (await names(NODES)).map(({ name }) => ({ title: name, detail: 'node', href: href(['nodes', name]) }));
  },
};
