import type { Section } from '../../section';

export const section: Section = {
  id: 'overview',
  title: 'Overview',
  icon: 'M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z',
  order: 10,
  key: 'o',
  load: () => import('./overview'),
};
