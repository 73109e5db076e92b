/** What a node measures now, by the live stream. */

import type { LiveNode } from '../../api/live';
import { bytes, count, cpus, percent } from '../../model/quantity';
import { Age, Facts, Meter, Panel, Status } from '../../parts/basics';

export function Measured({ now }: { now: LiveNode }) {
  const { cpu = {}, memory = {}, load, io = {}, file_systems: files = [], disks = [], networks = [], temperatures = [], power_supplies: supplies = [] } = now;
  const used = memory.total_bytes !== undefined && memory.available_bytes !== undefined ? memory.total_bytes - memory.available_bytes : undefined;
  if (now.health === 'silent') {
    return (
      <Panel title="Now" aside={<Status tone="bad">silent</Status>}>
        <p class="note">
          {now.reason ?? 'The node does not answer.'} <Age since={now.since} />
        </p>
      </Panel>
    );
  }
  const pressure = (title: string, ratio: number | undefined): [string, string] => [title, ratio === undefined ? '' : percent(ratio)];
  return (
    <Panel title="Now" aside={<Status tone="good">live</Status>}>
      <dl class="meters">
        <dt>CPU</dt>
        <dd>
          <Meter value={cpu.used_ratio ?? NaN} max={1} label="CPU used" />
          <span class="muted">{`${cpus(cpu.used_cores)} of ${cpus(cpu.cores)} cores`}</span>
        </dd>
        <dt>Memory</dt>
        <dd>
          <Meter value={memory.used_ratio ?? NaN} max={1} label="Memory used" />
          <span class="muted">{`${bytes(used)} of ${bytes(memory.total_bytes)}`}</span>
        </dd>
        {files.map((file) => [
          <dt key={`${file.mountpoint}-name`}>
            <code>{file.mountpoint}</code>
          </dt>,
          <dd key={file.mountpoint}>
            <Meter value={file.used_ratio} max={1} label={`Used of ${file.mountpoint}`} />
            <span class="muted">{`${bytes(file.available_bytes)} free of ${bytes(file.size_bytes)}${file.read_only ? ', read-only' : ''}`}</span>
          </dd>,
        ])}
      </dl>
      <Facts
        of={[
          ['Load', load && `${count(load.load_1m)} · ${count(load.load_5m)} · ${count(load.load_15m)}`],
          pressure('Waiting for CPU', cpu.waiting_ratio),
          pressure('Waiting for memory', memory.waiting_ratio),
          pressure('Waiting for disks', io.waiting_ratio),
          ['Swap used', memory.swap_used_bytes ? bytes(memory.swap_used_bytes) : ''],
          ['Throttled', cpu.throttles_per_second ? `${count(cpu.throttles_per_second)}/s` : ''],
          ['Taken by the hypervisor', cpu.stolen_ratio ? percent(cpu.stolen_ratio) : ''],
          ...disks.map((disk): [string, string] => [
            `Disk ${disk.device}`,
            `${percent(disk.busy_ratio)} busy, ${bytes(disk.read_bytes_per_second)}/s read, ${bytes(disk.written_bytes_per_second)}/s written`,
          ]),
          ...networks.map((net): [string, string] => [
            `Network ${net.interface}`,
            `${bytes(net.received_bytes_per_second)}/s in, ${bytes(net.transmitted_bytes_per_second)}/s out${net.lost_packets_per_second > 0 ? `, ${count(net.lost_packets_per_second)} lost/s` : ''}${net.up === false ? ', no link' : ''}`,
          ]),
          ...temperatures.map((one): [string, string] => [one.sensor, `${one.celsius.toFixed(1)} °C`]),
          ...supplies.map((one): [string, string] => [one.name, one.charge_ratio !== undefined ? percent(one.charge_ratio) : one.online ? 'on' : 'off']),
        ]}
      />
    </Panel>
  );
}
