/** The palette: any screen, node, workload or command by a few letters. */

import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Catalog } from '../api/catalog';
import { Dialog } from '../parts/dialog';
import { go, href } from '../router';
import { sections, type Find } from '../section';
import { rank } from './rank';

export interface Command {
  title: string;
  detail: string;
  run: () => void;
}

const SHOWN = 12;

export function Palette({ catalog, commands, close }: { catalog: Catalog; commands: Command[]; close: () => void }) {
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const [found, setFound] = useState<Find[]>([]);
  useEffect(() => {
    let open = true;
    for (const section of sections) {
      if (!section.find || section.available?.(catalog) === false) continue;
      section.find().then(
        (more) => open && setFound((now) => [...now, ...more]),
        // What may not be listed is not found.
        () => undefined,
      );
    }
    return () => {
      open = false;
    };
  }, []);
  const all = useMemo<Command[]>(() => {
    const screens = sections
      .filter((section) => section.available?.(catalog) !== false)
      .map((section) => ({ title: section.title, detail: `g ${section.key}`, run: () => go(href([section.id])) }));
    const things = found.map(({ title, detail, href: address }) => ({ title, detail, run: () => go(address) }));
    return [...screens, ...commands, ...things];
  }, [found]);
  const shown = useMemo(() => {
    if (!text) return all.slice(0, SHOWN);
    return all
      .map((one) => ({ one, rank: rank(`${one.title} ${one.detail}`, text) }))
      .filter((entry): entry is { one: Command; rank: number } => entry.rank !== null)
      .sort((a, b) => a.rank - b.rank)
      .slice(0, SHOWN)
      .map((entry) => entry.one);
  }, [all, text]);
  const current = Math.min(chosen, Math.max(0, shown.length - 1));
  const run = (command: Command | undefined): void => {
    if (!command) return;
    close();
    command.run();
  };
  const pressed = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step) {
      event.preventDefault();
      setChosen(Math.max(0, Math.min(shown.length - 1, current + step)));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      run(shown[current]);
    }
  };
  return (
    <Dialog label="Go to" close={close} wide>
      <div class="palette" onKeyDown={pressed}>
        <input
          type="text"
          role="combobox"
          aria-label="Go to a screen, node or workload, or run a command"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={shown[current] ? `palette-${current}` : undefined}
          placeholder="Go to a screen, node or workload …"
          autocomplete="off"
          spellcheck={false}
          autoFocus
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setChosen(0);
          }}
        />
        <ul role="listbox" id="palette-list" aria-label="What was found">
          {shown.map((command, n) => (
            <li
              key={`${command.title}/${command.detail}`}
              id={`palette-${n}`}
              role="option"
              aria-selected={n === current}
              onPointerMove={() => setChosen(n)}
              onClick={() => run(command)}
            >
              <span>{command.title}</span>
              <span class="muted">{command.detail}</span>
            </li>
          ))}
        </ul>
        {shown.length === 0 && <p class="muted none">Nothing is called that.</p>}
      </div>
    </Dialog>
  );
}
