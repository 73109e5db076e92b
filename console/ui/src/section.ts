/** What a section of the console is. docs/console.md says how to add one. */

import type { ComponentType } from 'preact';
import type { Catalog } from './api/catalog';

/** Something that the palette can lead to. */
export interface Find {
  title: string;
  /** Its kind, and where it is. */
  detail: string;
  href: string;
}

export interface Section {
  /** The first part of its addresses; its folder's name. */
  id: string;
  title: string;
  /** Lines in a box of 16 by 16, as SVG's `d` has them. */
  icon: string;
  /** Its place in the navigation, ascending. */
  order: number;
  /** `g` and then this key leads here. */
  key: string;
  /** Whether there is anything to show on this minicloud; always when absent. */
  available?: (catalog: Catalog) => boolean;
  /** The screen, loaded when it is opened. `path` is the address below the section's own. */
  load: () => Promise<{ default: ComponentType<{ path: string[] }> }>;
  /** What the palette finds here; called when it is opened. */
  find?: () => Promise<Find[]>;
}

const found = import.meta.glob<{ section: Section }>('./sections/*/section.ts', { eager: true });

/** All sections, in their order. */
export const sections: Section[] = Object.values(found)
  .map((module) => module.section)
  .sort((a, b) => a.order - b.order);
