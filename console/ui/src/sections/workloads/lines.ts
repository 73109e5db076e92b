/** The lines of a log. Pure. */

export interface LogLine {
  id: number;
  time: string;
  text: string;
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
