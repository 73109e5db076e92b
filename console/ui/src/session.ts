/** Who is signed in. The token is kept for this tab only, and goes nowhere but into the Authorization header. */

import { Cell } from './cell';
import { recall, remember } from './storage';

export interface Session {
  token: string;
  user: string;
  groups: string[];
  /** When the token ends, in milliseconds since 1970; null when it does not say. */
  expires: number | null;
}

export const session = new Cell<Session | null>(restore());
/** Why the last session ended, to be told at the next sign-in. */
export const farewell = new Cell<string>('');

function restore(): Session | null {
  try {
    const kept = JSON.parse(recall('session', 'session') ?? 'null') as Session | null;
    return kept && typeof kept.token === 'string' ? kept : null;
  } catch {
    return null;
  }
}

export function begin(next: Session): void {
  remember('session', 'session', JSON.stringify(next));
  farewell.set('');
  session.set(next);
}

export function end(why = ''): void {
  remember('session', 'session', null);
  farewell.set(why);
  session.set(null);
}

/** When a JSON Web Token ends; null for other tokens. Not verified: the server does that. */
export function expiry(token: string): number | null {
  try {
    const middle = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const claims = JSON.parse(atob(middle)) as { exp?: unknown };
    return typeof claims.exp === 'number' ? claims.exp * 1000 : null;
  } catch {
    return null;
  }
}

/** What a person pasted, without what came along: quotes, line breaks, "Bearer". */
export function cleaned(pasted: string): string {
  return pasted
    .trim()
    .replace(/^authorization:\s*/i, '')
    .replace(/^bearer\s+/i, '')
    .replace(/^["']|["']$/g, '')
    .replace(/\s+/g, '');
}
