/** What a node's hardware is, as its Device says. */

import type { Device } from '../../model/types';
import { bytes } from '../../model/quantity';
import { Facts, Panel } from '../../parts/basics';

type DeviceStatus = NonNullable<Device['status']>;

/** As many of a long list as are read at a glance. */
const FEW = 8;

const joined = (...parts: (string | number | undefined | false)[]): string => parts.filter(Boolean).join(', ');

export function DeviceFacts({ status }: { status: DeviceStatus }) {
  const { cpu = {}, canRun = {} } = status;
  const software = status.software ?? [];
  return (
    <Panel title="Device">
      <Facts
        of={[
          ['Machine', joined(status.vendor, status.model)],
          ['Where', joined(status.region?.city, status.region?.country, status.region?.continent)],
          ['Virtualization', status.virtualization && status.virtualization !== 'none' ? status.virtualization : ''],
          ['CPU', joined(cpu.model, cpu.vendor)],
          ['Cores', joined(cpu.cores && `${cpu.cores} ${cpu.cores === 1 ? 'core' : 'cores'}`, cpu.threads && cpu.threads !== cpu.cores && `${cpu.threads} threads`, cpu.sockets && cpu.sockets > 1 && `${cpu.sockets} sockets`, cpu.maxMhz && `up to ${cpu.maxMhz} MHz`)],
          ['Architecture', joined(cpu.architecture, cpu.bits && `${cpu.bits} bit`)],
          ['Memory', status.memoryBytes ? bytes(status.memoryBytes) : ''],
          ...(status.gpus ?? []).map((gpu): [string, string] => ['GPU', joined(gpu.model ?? gpu.name, gpu.vendor, gpu.driver, gpu.memoryBytes && bytes(gpu.memoryBytes))]),
          ...(status.batteries ?? []).map((one): [string, string] => [`Battery ${one.name}`, one.present === false ? 'absent' : joined(one.capacityPercent !== undefined && `${one.capacityPercent} %`, one.status)]),
          ...(status.disks ?? []).map((disk): [string, string] => [`Disk ${disk.name}`, joined(disk.model, disk.sizeBytes && bytes(disk.sizeBytes), disk.rotational && 'rotational')]),
          ...(status.networkInterfaces ?? []).map((net): [string, string] => [`Network ${net.name}`, joined((net.addresses ?? []).join(', '), net.speedMbitPerSecond && `${net.speedMbitPerSecond} Mbit/s`, net.driver)]),
          ['Sensors', joined(...(status.sensors ?? []).slice(0, FEW).map((one) => one.name))],
          ['Runs', joined(...(canRun.containerRuntimes ?? []).map((one) => one.name), ...(canRun.machineEmulators ?? []).map((one) => one.name))],
          ['KVM', joined(canRun.kvm, canRun.kvmDetail)],
          ['cgroups', canRun.cgroupVersion],
          ['UUID', status.uuid && <code>{status.uuid}</code>],
        ]}
      />
      {software.length > 0 && (
        <details class="more">
          <summary>Software ({software.length})</summary>
          <Facts of={software.map((one) => [one.name, one.version])} />
        </details>
      )}
      {(cpu.features ?? []).length > 0 && (
        <details class="more">
          <summary>CPU features ({cpu.features?.length})</summary>
          <p class="words">{cpu.features?.join(' ')}</p>
        </details>
      )}
    </Panel>
  );
}
