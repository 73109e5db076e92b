/** The whole site on one screen: what there is, what is taken, and what needs somebody. */

import type { ComponentChildren } from 'preact';
import { catalog } from '../../api/catalog';
import { asApiError } from '../../api/http';
import { DEPLOYMENTS, EVENTS, NODES, PODS } from '../../api/kube';
import { useLive } from '../../api/live';
import { rules as loadRules, type Rule } from '../../api/prometheus';
import { useRefreshed } from '../../api/usage';
import { useWatch, type Snapshot } from '../../api/watch';
import { useCell } from '../../cell';
import { clock } from '../../clock';
import { allocatable, requestedByNode, summarizeNode, sumKnown, total } from '../../model/nodes';
import { bytes, count, cpus, percent, UNKNOWN } from '../../model/quantity';
import type { KubeEvent, Node, Pod, Workload } from '../../model/types';
import { byTime, seenAt, summarizeWorkload } from '../../model/workloads';
import { Age, Empty, Failure, Gate, Head, Meter, Panel, Status } from '../../parts/basics';
import { EventList } from '../../parts/events';
import { Table } from '../../parts/table';
import { href, namespace } from '../../router';
import { countPods, matters, MOST } from './attention';

const ALERT_REFRESH_MS = 15_000;
const HOUR_MS = 3_600_000;
const SHOWN_EVENTS = 12;

export default function Overview() {
  const scope = useCell(namespace);
  const nodes = useWatch<Node>(NODES);
  const pods = useWatch<Pod>(PODS, scope);
  const deployments = useWatch<Workload>(DEPLOYMENTS, scope);
  const warnings = useWatch<KubeEvent>(EVENTS, scope, { fieldSelector: 'type=Warning' });
  const served = useCell(catalog)?.serves('/prometheus') ?? false;
  const alerts = useRefreshed<Rule[]>(served ? loadRules : null, ALERT_REFRESH_MS, 'rules');
  // What Prometheus said before it fell silent may no longer hold.
  const rules = alerts.error === null ? alerts.value : null;
  return (
    <>
      <Head title="Overview" status={scope ? <span class="muted">of namespace {scope}</span> : undefined} />
      <Figures nodes={nodes} pods={pods} deployments={deployments} rules={rules} warnings={warnings} />
      <Attention nodes={nodes} pods={pods} rules={rules ?? []} unknown={alerts.error} />
      <Capacity nodes={nodes} pods={pods} scope={scope} />
      <Panel title="Recent warnings" aside={<a href={href(['workloads', 'events'])}>All events</a>}>
        <Gate of={warnings} what="events">
          {() =>
            warnings.items.length === 0 ? (
              <Empty title="No warnings in the last hour" />
            ) : (
              <EventList events={[...warnings.items].sort(byTime).slice(0, SHOWN_EVENTS)} about />
            )
          }
        </Gate>
      </Panel>
    </>
  );
}

function Figure({ title, address, children, note }: { title: string; address: string; children: ComponentChildren; note: ComponentChildren }) {
  return (
    <a class="figure" href={address}>
      <span class="title">{title}</span>
      <span class="value">{children}</span>
      <span class="note">{note}</span>
    </a>
  );
}

interface FiguresProps {
  nodes: Snapshot<Node>;
  pods: Snapshot<Pod>;
  deployments: Snapshot<Workload>;
  warnings: Snapshot<KubeEvent>;
  rules: Rule[] | null;
}

/** True when what a list holds, or last held, is known. */
const seen = ({ state, items }: Snapshot<Node> | Snapshot<Pod> | Snapshot<Workload> | Snapshot<KubeEvent>): boolean => state === 'live' || items.length > 0;

function Figures({ nodes, pods, deployments, rules, warnings }: FiguresProps) {
  const now = useCell(clock);
  const ready = nodes.items.filter((node) => summarizeNode(node).tone !== 'bad').length;
  const { running, pending, failed, done } = countPods(pods.items);
  const available = deployments.items.filter((one) => ['good', 'done'].includes(summarizeWorkload('Deployment', one).tone)).length;
  const firing = (rules ?? []).flatMap((rule) => rule.alerts ?? []).filter((alert) => alert.state === 'firing').length;
  const recent = warnings.items.filter((event) => now - seenAt(event) < HOUR_MS).length;
  const bad = nodes.items.length - ready;
  const figure = (title: string, path: string[], known: boolean, value: ComponentChildren, note: ComponentChildren) => (
    <Figure title={title} address={href(path)} note={known ? note : 'not known'}>
      {known ? value : UNKNOWN}
    </Figure>
  );
  const podNote =
    failed > 0 ? <Status tone="bad">{failed} failing</Status> : pending > 0 ? <Status tone="busy">{pending} on their way</Status> : `${done} completed`;
  const late = deployments.items.length - available;
  return (
    <div class="figures">
      {figure('Nodes', ['nodes'], seen(nodes), `${ready}/${nodes.items.length}`, bad > 0 ? <Status tone="bad">{bad} need care</Status> : 'ready')}
      {figure('Pods running', ['workloads', 'pods'], seen(pods), running, podNote)}
      {figure('Deployments', ['workloads', 'deployments'], seen(deployments), `${available}/${deployments.items.length}`, late > 0 ? <Status tone="busy">{late} not available</Status> : 'available')}
      {figure('Alerts', ['alerts'], rules !== null, firing, firing > 0 ? <Status tone="bad">firing</Status> : 'none firing')}
      {figure('Warnings', ['workloads', 'events'], seen(warnings), recent, 'in the last hour')}
    </div>
  );
}

function Attention({ nodes, pods, rules, unknown }: { nodes: Snapshot<Node>; pods: Snapshot<Pod>; rules: Rule[]; unknown: unknown }) {
  const now = useCell(clock);
  const found = matters(nodes.items, pods.items, rules, now);
  if (pods.state === 'loading') return null;
  if (found.length === 0 && unknown === null) return null;
  return (
    <Panel title="Needs attention" aside={found.length > MOST ? <span class="muted">{`the first ${MOST} of ${found.length}`}</span> : undefined}>
      {unknown !== null && (
        <p class="note" role="status">
          Whether alerts fire is not known: <span class="muted">{asApiError(unknown).message}</span>
        </p>
      )}
      <ul class="matters">
        {found.slice(0, MOST).map((matter) => (
          <li key={matter.href + matter.what + matter.where}>
            <a href={matter.href}>
              <Status tone="bad">{matter.what}</Status>
              <span class="where">{matter.where}</span>
              <span class="why muted">{matter.why}</span>
              <span class="muted when">
                <Age since={matter.since} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

/** Of a node; NaN for what is not known. */
interface Row {
  node: Node;
  name: string;
  cpu: { all: number; asked: number; used: number };
  memory: { all: number; asked: number; used: number };
  pods: { all: number; asked: number };
}

const NOTHING = { cpu: 0, memory: 0, pods: 0 };
const UNSEEN = { cpu: NaN, memory: NaN, pods: NaN };

function Capacity({ nodes, pods, scope }: { nodes: Snapshot<Node>; pods: Snapshot<Pod>; scope: string }) {
  const live = useLive();
  const requested = requestedByNode(pods.items);
  const rows = nodes.items.map((node): Row => {
    const name = node.metadata.name;
    const all = allocatable(node);
    const asked = seen(pods) ? (requested.get(name) ?? NOTHING) : UNSEEN;
    const now = live.nodes.get(name);
    const { total_bytes: size, available_bytes: left } = now?.memory ?? {};
    return {
      node,
      name,
      cpu: { all: all.cpu, asked: asked.cpu, used: now?.cpu?.used_cores ?? NaN },
      memory: { all: all.memory, asked: asked.memory, used: size !== undefined && left !== undefined ? size - left : NaN },
      pods: { all: all.pods, asked: asked.pods },
    };
  });
  const site = total(rows.map((row) => ({ cpu: row.cpu.all, memory: row.memory.all, pods: row.pods.all })));
  const asked = seen(pods) ? total(requested.values()) : UNSEEN;
  const usedCpu = sumKnown(rows.map((row) => row.cpu.used));
  const usedMemory = sumKnown(rows.map((row) => row.memory.used));
  const measured = ({ of }: { of: number }): string => (of > 0 && of < rows.length ? `, ${of} of ${rows.length} nodes measured` : '');
  const aside = live.state === 'live' ? <Status tone="good">live</Status> : <span class="muted">{live.error?.message ?? (live.state === 'loading' ? 'measuring …' : 'usage is not measured here')}</span>;
  const bar = (used: number, of: { all: number; asked: number }, what: string) => (
    <Meter value={used} max={of.all} mark={of.asked} label={what} text={`${percent(used / of.all)} / ${percent(of.asked / of.all)}`} />
  );
  return (
    <Panel title={scope ? `Capacity, and what ${scope} requests of it` : 'Capacity'} aside={aside}>
      <Gate of={nodes} what="nodes">
        {() => (
          <>
            <div class="totals">
              <Total title="CPU" ratio={usedCpu.sum / site.cpu} mark={asked.cpu / site.cpu}>
                {`${cpus(usedCpu.sum)} used${measured(usedCpu)}, ${cpus(asked.cpu)} requested${scope && ` by ${scope}`}, of ${cpus(site.cpu)} cores`}
              </Total>
              <Total title="Memory" ratio={usedMemory.sum / site.memory} mark={asked.memory / site.memory}>
                {`${bytes(usedMemory.sum)} used${measured(usedMemory)}, ${bytes(asked.memory)} requested${scope && ` by ${scope}`}, of ${bytes(site.memory)}`}
              </Total>
              <Total title="Pods" ratio={asked.pods / site.pods}>
                {`${count(asked.pods)}${scope && ` of ${scope},`} of ${site.pods}`}
              </Total>
            </div>
            {pods.state === 'refused' && pods.error && !scope && <Failure error={pods.error} what="pods of all namespaces" />}
            <Table
              label="Capacity by node"
              rows={rows}
              id={(row) => row.name}
              href={(row) => href(['nodes', row.name])}
              sort="name"
              empty={<Empty title="There are no nodes" />}
              columns={[
                { id: 'name', title: 'Node', cell: (row) => row.name, sort: (row) => row.name },
                { id: 'status', title: 'Status', width: '9rem', cell: ({ node }) => <Status tone={summarizeNode(node).tone}>{summarizeNode(node).status}</Status>, wide: true },
                { id: 'cpu', title: 'CPU used / requested', width: '13rem', cell: (row) => bar(row.cpu.used, row.cpu, `CPU of ${row.name}`), sort: (row) => row.cpu.used / row.cpu.all },
                { id: 'memory', title: 'Memory used / requested', width: '13rem', cell: (row) => bar(row.memory.used, row.memory, `Memory of ${row.name}`), sort: (row) => row.memory.used / row.memory.all, wide: true },
                { id: 'pods', title: scope ? 'Its pods' : 'Pods', width: '6rem', end: true, cell: (row) => `${count(row.pods.asked)}/${row.pods.all}`, sort: (row) => row.pods.asked },
              ]}
            />
          </>
        )}
      </Gate>
    </Panel>
  );
}

function Total({ title, ratio, mark, children }: { title: string; ratio: number; mark?: number; children: ComponentChildren }) {
  return (
    <div class="total">
      <div class="name">{title}</div>
      <Meter value={ratio} max={1} label={`${title} of the site`} {...(mark === undefined ? {} : { mark })} />
      <div class="muted">{children}</div>
    </div>
  );
}
