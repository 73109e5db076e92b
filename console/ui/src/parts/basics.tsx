/** Small pieces that all screens share. */

import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api/http';
import type { Snapshot } from '../api/watch';
import type { Obj } from '../api/kube';
import { useCell } from '../cell';
import { clock } from '../clock';
import type { Tone } from '../model/pods';
import { percent } from '../model/quantity';
import { age, stamp } from '../model/time';
import { go } from '../router';

export function Icon({ path, size = 16 }: { path: string; size?: number }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width={size} height={size} aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

/** A state in a word. The dot's shape differs too: colour alone says nothing to some. */
export function Status({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`status ${tone}`}>
      <i aria-hidden="true" />
      {children}
    </span>
  );
}

export function Age({ since }: { since: string | undefined }) {
  const now = useCell(clock);
  return (
    <time dateTime={since} title={stamp(since)}>
      {age(since, now)}
    </time>
  );
}

/** An object's name; where the screen is narrow the namespace stands below it. */
export function Named({ of, namespace }: { of: Obj; namespace: boolean }) {
  return (
    <>
      {of.metadata.name}
      {namespace && <span class="muted below">{of.metadata.namespace}</span>}
    </>
  );
}

/** How much of something is taken. `mark` is a second value, such as what is requested. */
export function Meter({ value, max, label, mark, text }: { value: number; max: number; label: string; mark?: number; text?: string }) {
  const known = Number.isFinite(value) && max > 0;
  const ratio = known ? Math.min(1, value / max) : 0;
  const tone = ratio >= 0.95 ? 'bad' : ratio >= 0.8 ? 'busy' : 'good';
  return (
    <div class="meter">
      <div class="track" role="meter" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(ratio * 100)} aria-valuetext={known ? undefined : 'unknown'}>
        {known && <div class={`fill ${tone}`} style={{ width: `${ratio * 100}%` }} />}
        {mark !== undefined && Number.isFinite(mark) && max > 0 && <div class="mark" style={{ left: `${Math.min(100, (mark / max) * 100)}%` }} />}
      </div>
      <span class="value">{text ?? percent(known ? value / max : null)}</span>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <p class="loading" role="status">
      Loading {what} …
    </p>
  );
}

export function Failure({ error, what, hint }: { error: ApiError; what: string; hint?: string }) {
  return (
    <div class="failure" role="alert">
      <p class="title">
        {error.status === 403 ? `You may not see ${what}` : `${what.charAt(0).toUpperCase()}${what.slice(1)} cannot be shown`}
      </p>
      <p>{error.message}</p>
      {(error.hint || hint) && <p class="muted">{error.hint || hint}</p>}
    </div>
  );
}

const ONE_NAMESPACE = 'Rights in one namespace are enough to see what is in it: give its name at the top.';

/** What stands in the way of showing a list; nothing when it can be shown. A list that was seen stays while its source is away. */
export function Gate<T extends Obj>({ of, what, children }: { of: Snapshot<T>; what: string; children: () => ComponentChildren }) {
  if (of.state === 'loading') return <Loading what={what} />;
  const narrower = of.error?.status === 403 && what.endsWith('of all namespaces');
  if (of.state === 'refused' && of.error) return <Failure error={of.error} what={what} {...(narrower ? { hint: ONE_NAMESPACE } : {})} />;
  if (of.state === 'away' && of.items.length === 0 && of.error) return <Failure error={of.error} what={what} />;
  return <>{children()}</>;
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  const told = of.filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== false);
  return (
    <dl class="facts">
      {told.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Panel({ title, aside, children, id }: { title: string; aside?: ComponentChildren; children: ComponentChildren; id?: string }) {
  return (
    <section class="panel" aria-label={title} id={id}>
      <header>
        <h2>{title}</h2>
        {aside && <div class="aside">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

export interface Tab {
  id: string;
  title: string;
  href: string;
}

/** Tabs are links: each has an address. */
export function Tabs({ tabs, current, label }: { tabs: Tab[]; current: string; label: string }) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <a key={tab.id} href={tab.href} aria-current={tab.id === current ? 'page' : undefined}>
          {tab.title}
        </a>
      ))}
    </nav>
  );
}

export interface Step {
  title: string;
  href?: string;
}

/** The head of a screen: where one is, its name, how it is doing, what can be done. */
export function Head({ steps = [], title, status, children }: { steps?: Step[]; title: string; status?: ComponentChildren; children?: ComponentChildren }) {
  return (
    <div class="head">
      {steps.length > 0 && (
        <nav class="crumbs" aria-label="Where you are">
          {steps.map((step) => (
            <a key={step.title} href={step.href}>
              {step.title}
            </a>
          ))}
        </nav>
      )}
      <div class="line">
        <h1>{title}</h1>
        {status}
        <div class="actions">{children}</div>
      </div>
    </div>
  );
}

/** A choice among a few, each with an address. */
export function Choice({ label, value, options, choose }: { label: string; value: string; options: [string, string][]; choose: (value: string) => void }) {
  return (
    <label class="choice">
      <span class="sr">{label}</span>
      <select value={value} onChange={(event) => choose(event.currentTarget.value)} title={label}>
        {options.map(([id, title]) => (
          <option key={id} value={id}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The search of a list; `/` leads here. */
export function Search({ value, change, label }: { value: string; change: (value: string) => void; label: string }) {
  return (
    <input
      class="search"
      type="search"
      data-search
      value={value}
      placeholder="Search  /"
      aria-label={label}
      autocomplete="off"
      spellcheck={false}
      onInput={(event) => change(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.blur();
      }}
    />
  );
}

/** Opens a row's address by a click anywhere on it, as long as nobody selects text there. */
export function openRow(event: MouseEvent, address: string): void {
  const inside = (event.target as Element).closest('a, button, input, select, label');
  if (inside || window.getSelection()?.toString()) return;
  go(address);
}
