/** Charts over time: the site, its namespaces, and any query. */

import { useEffect, useState } from 'preact/hooks';
import { useCell } from '../../cell';
import { Empty, Head, Tabs } from '../../parts/basics';
import { Chart, ChartGrid, RangePicker, type Unit } from '../../parts/chart';
import { namespaceCharts, podCharts, serverCharts, siteCharts } from '../../parts/dashboards';
import type { Labels } from '../../api/prometheus';
import { href, namespace, place, setQuery } from '../../router';

const TABS: [string, string][] = [
  ['site', 'Site'],
  ['namespaces', 'Namespaces'],
  ['server', 'Server'],
  ['query', 'Query'],
];

export default function Charts({ path }: { path: string[] }) {
  const tab = path[0] ?? 'site';
  const scope = useCell(namespace);
  return (
    <>
      <Head title="Charts" />
      <Tabs label="Kinds of charts" current={tab} tabs={TABS.map(([id, title]) => ({ id, title, href: href(['charts', id === 'site' ? undefined : id]) }))} />
      {tab === 'site' && <ChartGrid charts={siteCharts()} />}
      {tab === 'namespaces' && <ChartGrid charts={scope ? podCharts(scope, '.*', 'pod') : namespaceCharts()} />}
      {tab === 'server' && <ChartGrid charts={serverCharts()} />}
      {tab === 'query' && <Query />}
    </>
  );
}

const UNITS: [Unit, string][] = [
  ['count', 'Number'],
  ['ratio', 'Ratio'],
  ['bytes', 'Bytes'],
  ['bytes/s', 'Bytes a second'],
  ['seconds', 'Seconds'],
];

/** A series' labels as PromQL writes them. */
export function named(labels: Labels): string {
  const { __name__: name = '', ...rest } = labels;
  const said = Object.entries(rest).map(([key, value]) => `${key}="${value}"`);
  return said.length === 0 && name ? name : `${name}{${said.join(', ')}}`;
}

function Query() {
  const { query } = useCell(place);
  const asked = query.get('q') ?? '';
  const unit = UNITS.find(([id]) => id === query.get('unit'))?.[0] ?? 'count';
  const [text, setText] = useState(asked);
  // The address changes by the browser's buttons too.
  useEffect(() => setText(asked), [asked]);
  const submit = (event: Event): void => {
    event.preventDefault();
    setQuery({ q: text.trim() }, false);
  };
  return (
    <>
      <form class="query" onSubmit={submit}>
        <input data-search aria-label="PromQL" placeholder="PromQL, such as rate(node_network_receive_bytes_total[5m])" value={text} spellcheck={false} autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />
        <select aria-label="Unit" value={unit} onChange={(event) => setQuery({ unit: event.currentTarget.value })}>
          {UNITS.map(([id, title]) => (
            <option key={id} value={id}>
              {title}
            </option>
          ))}
        </select>
        <button type="submit" class="primary">
          Draw
        </button>
      </form>
      <RangePicker />
      {asked ? <Chart key={asked + unit} of={{ title: asked, unit, lines: [{ promql: asked, name: named }] }} /> : <Empty title="Nothing was asked yet">Any query of Prometheus can be drawn over the chosen time; its address can be kept.</Empty>}
    </>
  );
}
