/** What is around every screen: navigation, namespace, keys, and whether the server is there. */

import type { ComponentType } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { away } from '../api/away';
import { catalog, refresh, type Catalog } from '../api/catalog';
import { asApiError, type ApiError } from '../api/http';
import { NAMESPACES } from '../api/kube';
import { useWatch } from '../api/watch';
import { useCell } from '../cell';
import { clock } from '../clock';
import { loaded as fetched } from '../load';
import { minutes } from '../model/time';
import { Empty, Failure, Icon, Loading } from '../parts/basics';
import { Toasts } from '../parts/toasts';
import { BARE, go, href, namespace, place, setQuery } from '../router';
import { sections, type Section } from '../section';
import { end, session, type Session } from '../session';
import { theme, turn } from '../theme';
import { Help } from './help';
import { listen, overlay } from './keys';
import { Palette } from './palette';

const SUN = 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1';
const MOON = 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z';
const HALF = 'M8 2a6 6 0 1 0 0 12 6 6 0 0 0 0-12zM8 2v12M8 5h4.2M8 8h6M8 11h4.2';
const LENS = 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.5 10.5 14 14';
const OUT = 'M6 2.5H3v11h3M7 8h7M11 5l3 3-3 3';

/** A token that ends sooner than this is worth a word. */
const SOON_MS = 10 * 60_000;

const up = (): void => {
  const path = place.value.path;
  if (path.length > 1) go(href(path.slice(0, path[0] === 'workloads' ? 2 : 1)));
};

export function Shell({ signedIn }: { signedIn: Session }) {
  const known = useCell(catalog);
  const { path } = useCell(place);
  const over = useCell(overlay);
  useEffect(() => void refresh(), [signedIn]);
  useEffect(() => {
    const jump = (key: string): void => {
      const section = sections.find((one) => one.key === key);
      if (section) go(href([section.id]));
    };
    return listen(jump, { t: turn, u: up });
  }, []);
  const open = sections.filter((section) => !known || !section.available || section.available(known));
  const current = sections.find((section) => section.id === (path[0] ?? 'overview'));
  useEffect(() => {
    document.title = [...path.slice(1).reverse(), current?.title, 'Minicloud'].filter(Boolean).join(' · ');
  }, [path, current]);
  const commands = [
    { title: 'Light, dark or as the system', detail: 't', run: turn },
    { title: 'Keys', detail: '?', run: () => overlay.set('help') },
    { title: 'Sign out', detail: signedIn.user, run: () => end() },
  ];
  // The browser tells late that a dialog is closed: another may be open by then.
  const close = (which: 'palette' | 'help') => (): void => {
    if (overlay.value === which) overlay.set('');
  };
  return (
    <div class={BARE ? 'shell bare' : 'shell'}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      {BARE ? <Connection signedIn={signedIn} /> : <Top signedIn={signedIn} />}
      {!BARE && (
        <nav class="sections" aria-label="Sections">
          {open.map((section) => (
            <a key={section.id} href={href([section.id])} aria-current={section === current ? 'page' : undefined} title={`g ${section.key}`}>
              <Icon path={section.icon} />
              <span>{section.title}</span>
            </a>
          ))}
        </nav>
      )}
      <main id="main" tabIndex={-1}>
        {current ? <Screen section={current} catalog={known} path={path.slice(1)} /> : <Empty title="There is no such screen" />}
      </main>
      {over === 'palette' && known && <Palette catalog={known} commands={commands} close={close('palette')} />}
      {over === 'help' && <Help sections={open} close={close('help')} />}
      <Toasts />
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function Top({ signedIn }: { signedIn: Session }) {
  const chosen = useCell(theme);
  return (
    <header class="top">
      <a class="brand" href={href([])} aria-label="Minicloud: overview">
        <img src="/console/icon.svg" alt="" width="22" height="22" />
        <span>Minicloud</span>
      </a>
      <Namespaces />
      <Connection signedIn={signedIn} />
      <button type="button" class="quiet find" onClick={() => overlay.set('palette')} aria-label="Go to a screen, node or workload" title="Ctrl K">
        <Icon path={LENS} />
        <span>Go to</span>
        <kbd>Ctrl K</kbd>
      </button>
      <button type="button" class="quiet" onClick={turn} aria-label={`Colours: ${chosen}`} title={`Colours: ${chosen} (t)`}>
        <Icon path={chosen === 'dark' ? MOON : chosen === 'light' ? SUN : HALF} />
      </button>
      <button type="button" class="quiet" onClick={() => end()} aria-label={`Sign out ${signedIn.user}`} title={`Sign out ${signedIn.user}`}>
        <Icon path={OUT} />
      </button>
    </header>
  );
}

function Namespaces() {
  const chosen = useCell(namespace);
  const { items, state } = useWatch(NAMESPACES);
  const choose = (value: string): void => {
    namespace.set(value);
    setQuery({ ns: value || undefined });
  };
  if (state === 'refused') {
    // Who may not list namespaces may know one.
    const submit = (event: Event): void => {
      event.preventDefault();
      const field = (event.currentTarget as HTMLFormElement).elements.namedItem('ns') as HTMLInputElement;
      choose(field.value.trim());
    };
    return (
      <form class="namespaces" onSubmit={submit}>
        <input name="ns" key={chosen} defaultValue={chosen} placeholder="namespace" aria-label="Namespace; Enter to show it" spellcheck={false} />
      </form>
    );
  }
  const names = items.map((one) => one.metadata.name).sort();
  if (chosen && !names.includes(chosen)) names.unshift(chosen);
  return (
    <label class="namespaces">
      <span class="sr">Namespace</span>
      <select value={chosen} onChange={(event) => choose(event.currentTarget.value)} title="Namespace">
        <option value="">All namespaces</option>
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

function Connection({ signedIn }: { signedIn: Session }) {
  const now = useCell(clock);
  const lost = useCell(away);
  const left = signedIn.expires === null ? Infinity : signedIn.expires - now;
  return (
    <div class="connection" role="status" aria-live="polite">
      {lost ? <span class="away">Reconnecting …</span> : left < SOON_MS ? <span class="away">Token ends in {minutes(left)}</span> : null}
    </div>
  );
}

type Loaded = { section: Section; view: ComponentType<{ path: string[] }> } | { section: Section; error: ApiError };

function Screen({ section, catalog: known, path }: { section: Section; catalog: Catalog | null; path: string[] }) {
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  useEffect(() => {
    let current = true;
    fetched(section.load).then(
      (module) => current && setLoaded({ section, view: module.default }),
      (error: unknown) => current && setLoaded({ section, error: asApiError(error) }),
    );
    return () => {
      current = false;
    };
  }, [section]);
  if (known && section.available?.(known) === false) {
    return <Empty title={`${section.title} is not available here`}>This minicloud does not serve what the screen shows.</Empty>;
  }
  if (loaded?.section !== section) return <Loading what={section.title.toLowerCase()} />;
  if ('error' in loaded) return <Failure error={loaded.error} what="this screen" />;
  const View = loaded.view;
  return <View path={path} />;
}

/** The session, followed. */
export const useSession = (): Session | null => useCell(session);
