/** Light, dark, or as the system says. */

import { Cell } from './cell';
import { recall, remember } from './storage';

export type Theme = 'auto' | 'light' | 'dark';

const kept = recall('local', 'theme');
export const theme = new Cell<Theme>(kept === 'light' || kept === 'dark' ? kept : 'auto');
/** Changes whenever colours do. */
export const shade = new Cell<'light' | 'dark'>('light');

const system = window.matchMedia('(prefers-color-scheme: dark)');

function apply(): void {
  const chosen = theme.value;
  const root = document.documentElement;
  if (chosen === 'auto') root.removeAttribute('data-theme');
  else root.setAttribute('data-theme', chosen);
  shade.set(chosen === 'auto' ? (system.matches ? 'dark' : 'light') : chosen);
}

export function turn(): void {
  const next: Record<Theme, Theme> = { auto: 'dark', dark: 'light', light: 'auto' };
  theme.set(next[theme.value]);
}

export function start(): void {
  theme.subscribe(() => {
    remember('local', 'theme', theme.value === 'auto' ? null : theme.value);
    apply();
  });
  system.addEventListener('change', apply);
  apply();
}
