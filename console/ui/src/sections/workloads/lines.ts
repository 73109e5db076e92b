/** The lines of a log. Pure. */

export interface LogLine {
  id: number;
  time: string;
  text: string;
  /** True for a line of ours among the container's. */
  note?: boolean;
}

/** A line with the timestamp that the API puts before it. */
export function readLog(line: string, id: number): LogLine {
  const at = line.indexOf(' ');
  return at > 0 && /^\d{4}-\d\d-\d\dT/.test(line) ? { id, time: line.slice(0, at), text: line.slice(at + 1) } : { id, time: '', text: line };
}

/** Without the codes by which programs colour their output on terminals. */
export const plain = (text: string): string => text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, '').replace(/\r/g, '');

/** The text in pieces, every other one a match. */
export function split(text: string, wanted: string): string[] {
  if (!wanted) return [text];
  const pieces: string[] = [];
  const [hay, needle] = [text.toLowerCase(), wanted.toLowerCase()];
  let from = 0;
  for (let at = hay.indexOf(needle); at >= 0; at = hay.indexOf(needle, from)) {
    pieces.push(text.slice(from, at), text.slice(at, at + needle.length));
    from = at + needle.length;
  }
  pieces.push(text.slice(from));
  return pieces;
}

/** Whether the first of two RFC 3339 times is the later one, to the nanosecond. */
export function isLater(a: string, b: string): boolean {
  const [x, y] = [Date.parse(a), Date.parse(b)];
  const fraction = (text: string): string => (/\.(\d+)/.exec(text)?.[1] ?? '').padEnd(9, '0');
  return x === y ? fraction(a) > fraction(b) : x > y;
}

/** Of lines that came anew, those after `last`; what has no time is taken. */
export const newer = (lines: LogLine[], last: string): LogLine[] => (last ? lines.filter(({ time }) => !time || isLater(time, last)) : lines);

/** `again` asks after a pause, `rest` when the container's state changes, `stop` never. */
export type Then = 'again' | 'rest' | 'stop';

/**
 * What follows when the answer has ended, with an error's status or null when it was whole.
 *
 * `asked` is what was asked for: the log as it is written, as it is now, or that of the container's last life.
 */
export function afterwards(status: number | null, asked: 'follow' | 'now' | 'previous', runs: boolean): Then {
  if (status === 401 || status === 403 || status === 404) return 'stop';
  // Our server, or the node, is away.
  if (status !== null && (status === 0 || status >= 500 || status === 429)) return 'again';
  if (asked === 'previous') return 'stop';
  // 400: the container has not begun.
  if (status === null && asked === 'now') return 'stop';
  return runs ? 'again' : 'rest';
}
