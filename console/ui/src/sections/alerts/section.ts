import type { Section } from '../../section';

export const section: Section = {
  id: 'alerts',
  title: 'Alerts',
  icon: 'M8 2a4 4 0 0 0-4 4v3l-1.5 2.5h11L12 9V6a4 4 0 0 0-4-4zM6.5 13.5h3',
  order: 50,
  key: 'a',
  available: (catalog) => catalog.serves('/prometheus'),
  load: () => import('./alerts'),
};
