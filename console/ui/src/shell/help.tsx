import { useCell } from '../cell';
import { Dialog } from '../parts/dialog';
import type { Section } from '../section';
import { letters } from './keys';

const KEYS: [string, string][] = [
  ['/', 'Search the list, or go anywhere'],
  ['Ctrl K', 'Go anywhere'],
  ['j  k', 'Next and previous row'],
  ['Enter', 'Open the row'],
  ['u', 'Up: from an object to its list'],
  ['t', 'Light, dark, or as the system says'],
  ['?', 'This help'],
  ['Esc', 'Close'],
];

export function Help({ sections, close }: { sections: Section[]; close: () => void }) {
  const on = useCell(letters);
  const rows = (keys: [string, string][]) =>
    keys.map(([key, what]) => (
      <div key={key}>
        <dt>
          {key.split(' ').filter(Boolean).map((one) => (
            <kbd key={one}>{one}</kbd>
          ))}
        </dt>
        <dd>{what}</dd>
      </div>
    ));
  return (
    <Dialog label="Keys" close={close} wide>
      <div class="help">
        <h2>Keys</h2>
        <div class="columns">
          <dl>{rows(KEYS)}</dl>
          <dl>{rows(sections.map((section) => [`g ${section.key}`, section.title]))}</dl>
        </div>
        <label class="check">
          <input type="checkbox" checked={on} onChange={(event) => letters.set(event.currentTarget.checked)} /> Single keys do something; Ctrl K always does
        </label>
        <div class="buttons">
          <button type="button" autoFocus onClick={close}>
            Close
          </button>
        </div>
      </div>
    </Dialog>
  );
}
