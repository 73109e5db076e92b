import type { Section } from '../../section';

export const section: Section = {
  id: 'charts',
  title: 'Charts',
  icon: 'M2 2v12h12M4.5 10.5l3-4 2.5 2 3.5-5',
  order: 40,
  key: 'c',
  available: (catalog) => catalog.serves('/prometheus'),
  load: () => import('./charts'),
};
