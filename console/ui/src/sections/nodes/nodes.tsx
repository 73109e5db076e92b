import { DEVICES, NODES, PODS } from '../../api/kube';
import { catalog } from '../../api/catalog';
import { useLive } from '../../api/live';
import { useWatch } from '../../api/watch';
import { useState } from 'preact/hooks';
import { useCell } from '../../cell';
import { allocatable, requestedByNode, summarizeNode } from '../../model/nodes';
import { bytes, UNKNOWN } from '../../model/quantity';
import type { Device, Node, Pod } from '../../model/types';
import { searched } from '../../model/workloads';
import { Age, Empty, Gate, Head, Meter, Search, Status } from '../../parts/basics';
import { Table } from '../../parts/table';
import { href } from '../../router';
import { NodeScreen } from './node';

export default function Nodes({ path }: { path: string[] }) {
  const [name, tab] = path;
  return name ? <NodeScreen name={name} tab={tab ?? 'summary'} key={name} /> : <List />;
}

function List() {
  const [text, setText] = useState('');
  const known = useCell(catalog);
  const nodes = useWatch<Node>(NODES);
  const devices = useWatch<Device>(known?.has(DEVICES) ? DEVICES : null);
  const pods = useWatch<Pod>(PODS);
  const live = useLive();
  const deviceOf = new Map(devices.items.map((device) => [device.metadata.name, device.status]));
  const taken = requestedByNode(pods.items);
  const rows = searched(nodes.items, text, (node) => {
    const device = deviceOf.get(node.metadata.name);
    return [device?.cpu?.model, device?.cpu?.architecture, device?.model, device?.summary?.os].join(' ');
  });
  const name = (node: Node): string => node.metadata.name;
  const memoryUsed = (node: Node): number => live.nodes.get(name(node))?.memory?.used_ratio ?? NaN;
  const cpuUsed = (node: Node): number => live.nodes.get(name(node))?.cpu?.used_ratio ?? NaN;
  return (
    <>
      <Head title="Nodes">
        <Search value={text} change={setText} label="Search nodes" />
      </Head>
      <Gate of={nodes} what="nodes">
        {() => (
          <Table
            label="Nodes"
            rows={rows}
            id={name}
            href={(node) => href(['nodes', name(node)])}
            sort="name"
            empty={<Empty title={text ? 'No node is called that' : 'There are no nodes'} />}
            columns={[
              { id: 'name', title: 'Name', cell: name, sort: name, width: '22%' },
              { id: 'status', title: 'Status', width: '9rem', cell: (node) => <Status tone={summarizeNode(node).tone}>{summarizeNode(node).status}</Status>, sort: (node) => summarizeNode(node).status },
              { id: 'arch', title: 'Hardware', wide: true, cell: (node) => deviceOf.get(name(node))?.summary?.cpu ?? node.status?.nodeInfo?.architecture ?? UNKNOWN },
              { id: 'cpu', title: 'CPU', width: '7.5rem', cell: (node) => <Meter value={cpuUsed(node)} max={1} label={`CPU of ${name(node)}`} />, sort: cpuUsed },
              { id: 'memory', title: 'Memory', width: '7.5rem', wide: true, cell: (node) => <Meter value={memoryUsed(node)} max={1} label={`Memory of ${name(node)}`} />, sort: memoryUsed },
              { id: 'size', title: 'Size', width: '6rem', end: true, wide: true, cell: (node) => bytes(deviceOf.get(name(node))?.memoryBytes ?? allocatable(node).memory), sort: (node) => allocatable(node).memory },
              { id: 'pods', title: 'Pods', width: '4rem', end: true, wide: true, cell: (node) => (pods.state === 'live' ? (taken.get(name(node))?.pods ?? 0) : UNKNOWN), sort: (node) => taken.get(name(node))?.pods ?? 0 },
              { id: 'age', title: 'Age', width: '4.5rem', end: true, wide: true, cell: (node) => <Age since={node.metadata.creationTimestamp} />, sort: (node) => -Date.parse(node.metadata.creationTimestamp ?? '') },
            ]}
          />
        )}
      </Gate>
    </>
  );
}
