/** The whole site on one screen: what there is, what is taken, and what needs somebody. */

import type { ComponentChildren } from 'preact';
import { catalog } from '../../api/catalog';
import { DEPLOYMENTS, EVENTS, NODES, PODS } from '../../api/kube';
import { useLive } from '../../api/live';
import { rules as loadRules, type Rule } from '../../api/prometheus';
import { useRefreshed } from '../../api/usage';
import { useWatch, type Snapshot } from '../../api/watch';
import { useCell } from '../../cell';
import { clock } from '../../clock';
import { allocatable, requestedByNode, summarizeNode, total } from '../../model/nodes';
import { bytes, cpus, percent } from '../../model/quantity';
import type { KubeEvent, Node, Pod, Workload } from '../../model/types';
import { byTime, seenAt, summarizeWorkload } from '../../model/workloads';
import { Age, Empty, Failure, Gate, Head, Meter, Panel, Status } from '../../parts/basics';
import { EventList } from '../../parts/events';
import { Table } from '../../parts/table';
import { href, namespace } from '../../router';
import { countPods, matters, MOST } from './attention';

const ALERT_REFRESH_MS = 30_000;
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
  return (
    <>
      <Head title="Overview" status={scope ? <span class="muted">of namespace {scope}</span> : undefined} />
      <Figures nodes={nodes} pods={pods} deployments={deployments} rules={alerts.value} warnings={warnings} />
      <Attention nodes={nodes} pods={pods} rules={alerts.value ?? []} />
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

function Figures({ nodes, pods, deployments, rules, warnings }: FiguresProps) {
  const now = useCell(clock);
  const ready = nodes.items.filter((node) => summarizeNode(node).tone !== 'bad').length;
  const counts = countPods(pods.items);
  const available = deployments.items.filter((one) => ['good', 'done'].includes(summarizeWorkload('Deployment', one).tone)).length;
  const firing = (rules ?? []).flatMap((rule) => rule.alerts ?? []).filter((alert) => alert.state === 'firing').length;
  const recent = warnings.items.filter((event) => now - seenAt(event) < HOUR_MS).length;
  const known = (snapshot: Snapshot<never> | Snapshot<Node> | Snapshot<Pod> | Snapshot<Workload> | Snapshot<KubeEvent>, value: ComponentChildren) =>
    snapshot.state === 'loading' || (snapshot.state !== 'live' && snapshot.items.length === 0) ? '–' : value;
  const bad = nodes.items.length - ready;
  return (
    <div class="figures">
      <Figure title="Nodes" address={href(['nodes'])} note={bad > 0 ? <Status tone="bad">{bad} need care</Status> : 'ready'}>
        {known(nodes, `${ready}/${nodes.items.length}`)}
      </Figure>
      <Figure
        title="Pods running"
        address={href(['workloads', 'pods'])}
        note={
          counts.failed > 0 ? <Status tone="bad">{counts.failed} failing</Status> : counts.pending > 0 ? <Status tone="busy">{counts.pending} on their way</Status> : `${counts.done} completed`
        }
      >
        {known(pods, counts.running)}
      </Figure>
      <Figure
        title="Deployments"
        address={href(['workloads', 'deployments'])}
        note={available < deployments.items.length ? <Status tone="busy">{deployments.items.length - available} not available</Status> : 'available'}
      >
        {known(deployments, `${available}/${deployments.items.length}`)}
      </Figure>
      <Figure title="Alerts" address={href(['alerts'])} note={rules === null ? 'not known' : firing > 0 ? <Status tone="bad">firing</Status> : 'none firing'}>
        {rules === null ? '–' : firing}
      </Figure>
      <Figure title="Warnings" address={href(['workloads', 'events'])} note="in the last hour">
        {known(warnings, recent)}
      </Figure>
    </div>
  );
}

function Attention({ nodes, pods, rules }: { nodes: Snapshot<Node>; pods: Snapshot<Pod>; rules: Rule[] }) {
  const now = useCell(clock);
  const found = matters(nodes.items, pods.items, rules, now);
  if (pods.state === 'loading') return null;
  if (found.length === 0) return null;
  return (
    <Panel title="Needs attention" aside={found.length > MOST ? <span class="muted">{`the first ${MOST} of ${found.length}`}</span> : undefined}>
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

interface Row {
  node: Node;
  name: string;
  cpu: { all: number; asked: number; used: number };
  memory: { all: number; asked: number; used: number };
  pods: { all: number; asked: number };
}

function Capacity({ nodes, pods, scope }: { nodes: Snapshot<Node>; pods: Snapshot<Pod>; scope: string }) {
  const live = useLive();
  const requested = requestedByNode(pods.items);
  const rows = nodes.items.map((node): Row => {
    const name = node.metadata.name;
    const all = allocatable(node);
    const asked = requested.get(name) ?? { cpu: 0, memory: 0, pods: 0 };
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
  const asked = total(requested.values());
  const usedCpu = rows.reduce((sum, row) => sum + row.cpu.used, 0);
  const usedMemory = rows.reduce((sum, row) => sum + row.memory.used, 0);
  const aside = live.state === 'live' ? <Status tone="good">live</Status> : <span class="muted">{live.error?.message ?? (live.state === 'loading' ? 'measuring …' : 'usage is not measured here')}</span>;
  const bar = (used: number, of: { all: number; asked: number }, what: string) => (
    <Meter value={Number.isNaN(used) ? of.asked : used} max={of.all} mark={of.asked} label={what} text={Number.isNaN(used) ? `– / ${percent(of.asked / of.all)}` : `${percent(used / of.all)} / ${percent(of.asked / of.all)}`} />
  );
  return (
    <Panel title={scope ? `Capacity, and what ${scope} requests of it` : 'Capacity'} aside={aside}>
      <Gate of={nodes} what="nodes">
        {() => (
          <>
            <div class="totals">
              <Total title="CPU" used={cpus(usedCpu)} asked={cpus(asked.cpu)} all={`${cpus(site.cpu)} cores`} ratio={usedCpu / site.cpu} mark={asked.cpu / site.cpu} />
              <Total title="Memory" used={bytes(usedMemory)} asked={bytes(asked.memory)} all={bytes(site.memory)} ratio={usedMemory / site.memory} mark={asked.memory / site.memory} />
              <Total title="Pods" used={String(asked.pods)} asked="" all={String(site.pods)} ratio={asked.pods / site.pods} />
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
                { id: 'pods', title: 'Pods', width: '6rem', end: true, cell: (row) => `${row.pods.asked}/${row.pods.all}`, sort: (row) => row.pods.asked },
              ]}
            />
          </>
        )}
      </Gate>
    </Panel>
  );
}

function Total({ title, used, asked, all, ratio, mark }: { title: string; used: string; asked: string; all: string; ratio: number; mark?: number }) {
  return (
    <div class="total">
      <div class="name">{title}</div>
      <Meter value={ratio} max={1} label={`${title} of the site`} {...(mark === undefined ? {} : { mark })} />
      <div class="muted">
        {used} used{asked && `, ${asked} requested`} of {all}
      </div>
    </div>
  );
}
