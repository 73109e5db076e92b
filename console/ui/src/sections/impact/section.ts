import type { Section } from '../../section';

export const section: Section = {
  id: 'impact',
  title: 'Impact',
  icon: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v2M8 13v2M1 8h2M13 8h2',
  order: 60,
  key: 'i',
  available: (catalog) => catalog.serves('/v1/impact'),
  load: () => import('./impact'),
};
