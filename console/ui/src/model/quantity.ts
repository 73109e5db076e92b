/** Kubernetes quantities as numbers, and numbers as people read them. */

const SUFFIXES: Record<string, number> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** `250m` is 0.25, `64Mi` is 67108864; NaN for what is no quantity. */
export function quantity(text: string | number | undefined): number {
  if (typeof text === 'number') return text;
  const match = /^([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)([a-zA-Z]{0,2})$/.exec(text ?? '');
  const factor = match && SUFFIXES[match[2] ?? ''];
  return match && factor !== undefined && factor !== null ? Number(match[1]) * factor : NaN;
}

/** Three digits are enough to compare by. */
function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : 2);
}

/** What is shown where nothing is known. */
export const UNKNOWN = '–';

export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let n = 0;
  let left = value;
  while (Math.abs(left) >= 1024 && n < units.length - 1) {
    left /= 1024;
    n += 1;
  }
  return `${n === 0 ? left.toFixed(0) : digits(left)} ${units[n]}`;
}

/** CPUs: `0.25`, or `3 m` below a hundredth. */
export function cpus(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  if (value !== 0 && Math.abs(value) < 0.01) return `${(value * 1000).toFixed(1)} m`;
  return digits(value);
}

/** A ratio of 0 to 1. */
export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const hundred = value * 100;
  return `${hundred.toFixed(hundred !== 0 && Math.abs(hundred) < 10 ? 1 : 0)} %`;
}

export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return Math.abs(value) >= 1e6 ? `${digits(value / 1e6)} M` : Math.abs(value) >= 1e4 ? `${digits(value / 1e3)} k` : digits(value);
}
