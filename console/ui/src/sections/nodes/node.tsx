/** One node: what it is, how it is doing, what runs on it. */

import { useState } from 'preact/hooks';
import { useAllowed } from '../../api/access';
import { catalog } from '../../api/catalog';
import { DEVICES, NODES, patch, PODS } from '../../api/kube';
import { useLive } from '../../api/live';
import { useObject, useWatch } from '../../api/watch';
import { useCell } from '../../cell';
import { summarizeNode } from '../../model/nodes';
import type { Device, Node, Pod } from '../../model/types';
import { Empty, Facts, Gate, Head, Panel, Status, Tabs } from '../../parts/basics';
import { ChartGrid } from '../../parts/chart';
import { nodeCharts } from '../../parts/dashboards';
import { Conditions } from '../../parts/conditions';
import { Confirm, type Asked } from '../../parts/dialog';
import { EventsOf } from '../../parts/events';
import { ImpactOf } from '../../parts/impact';
import { PodTable } from '../../parts/pods';
import { Yaml } from '../../parts/yaml';
import { href } from '../../router';
import { DeviceFacts } from './device';
import { Measured } from './measured';

const TABS: [string, string][] = [
  ['summary', 'Summary'],
  ['charts', 'Charts'],
  ['pods', 'Pods'],
  ['events', 'Events'],
  ['yaml', 'YAML'],
];

export function NodeScreen({ name, tab }: { name: string; tab: string }) {
  const known = useObject<Node>(NODES, '', name);
  const node = known.object;
  const summary = node && summarizeNode(node);
  return (
    <>
      <Head steps={[{ title: 'Nodes', href: href(['nodes']) }]} title={name} status={summary && <Status tone={summary.tone}>{summary.status}</Status>}>
        <ImpactOf of={{ node: name }} />
        {node && <Actions node={node} />}
      </Head>
      <Tabs label="About this node" current={tab} tabs={TABS.map(([id, title]) => ({ id, title, href: href(['nodes', name, id === 'summary' ? undefined : id]) }))} />
      <Gate of={known} what={`node ${name}`}>
        {() => (node ? <Tab node={node} tab={tab} /> : <Empty title={`There is no node ${name}`} />)}
      </Gate>
    </>
  );
}

function Tab({ node, tab }: { node: Node; tab: string }) {
  const { name } = node.metadata;
  if (tab === 'charts') {
    return <ChartGrid charts={nodeCharts(name)} />;
  }
  if (tab === 'pods') return <Pods name={name} />;
  if (tab === 'events') return <EventsOf object={{ ...node, kind: 'Node' }} />;
  if (tab === 'yaml') return <Yaml object={{ apiVersion: 'v1', kind: 'Node', ...node }} />;
  return <Summary node={node} />;
}

function Pods({ name }: { name: string }) {
  const pods = useWatch<Pod>(PODS, '', { fieldSelector: `spec.nodeName=${name}` });
  return (
    <Gate of={pods} what="pods of all namespaces">
      {() => <PodTable pods={pods.items} without="node" empty={<Empty title="No pod runs here" />} />}
    </Gate>
  );
}

function Summary({ node }: { node: Node }) {
  const { name } = node.metadata;
  const known = useCell(catalog);
  const { object: device } = useDevice(known?.has(DEVICES) ?? false, name);
  const live = useLive();
  const now = live.nodes.get(name);
  const info = node.status?.nodeInfo ?? {};
  return (
    <div class="columns">
      <div>
        {now && <Measured now={now} />}
        {!now && live.state !== 'loading' && (
          <Panel title="Now">
            <p class="note">{live.error?.message ?? 'Nothing is measured live here.'}</p>
          </Panel>
        )}
        <Panel title="Conditions">
          <Conditions of={node.status?.conditions ?? []} />
        </Panel>
      </div>
      <div>
        <Panel title="Node">
          <Facts
            of={[
              ['Addresses', (node.status?.addresses ?? []).map((one) => one.address).filter((one, n, all) => all.indexOf(one) === n).join(', ')],
              ['Roles', summarizeNode(node).roles],
              ['System', info.osImage],
              ['Kernel', info.kernelVersion],
              ['Container runtime', info.containerRuntimeVersion],
              ['Agent', info.kubeletVersion],
              ['Pod addresses', node.spec?.podCIDR],
              ['Taints', (node.spec?.taints ?? []).map((taint) => `${taint.key}:${taint.effect}`).join(', ')],
            ]}
          />
        </Panel>
        {device?.status && <DeviceFacts status={device.status} />}
      </div>
    </div>
  );
}

/** The Device of a node, where there are any. */
function useDevice(served: boolean, name: string): { object: Device | undefined } {
  const devices = useWatch<Device>(served ? DEVICES : null, '', { fieldSelector: `metadata.name=${name}` });
  return { object: devices.items[0] };
}

function Actions({ node }: { node: Node }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  const [mayPatch] = useAllowed([{ verb: 'patch', of: NODES, name: node.metadata.name }]);
  if (!mayPatch) return null;
  const cordoned = node.spec?.unschedulable === true;
  const { name } = node.metadata;
  const cordon: Asked = {
    title: cordoned ? `Let pods onto ${name}?` : `Keep new pods off ${name}?`,
    text: cordoned ? 'The scheduler may put pods on this node again.' : 'Pods that run here go on; no new ones come.',
    action: cordoned ? 'Uncordon' : 'Cordon',
    done: cordoned ? `${name} takes pods again.` : `${name} takes no new pods.`,
    act: () => patch(NODES, node.metadata, { spec: { unschedulable: cordoned ? null : true } }),
  };
  return (
    <>
      <button type="button" onClick={() => setAsked(cordon)}>
        {cordon.action} …
      </button>
      {asked && <Confirm ask={asked} close={() => setAsked(null)} />}
    </>
  );
}
