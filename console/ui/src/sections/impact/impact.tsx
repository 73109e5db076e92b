/** Which physical problem touches which workloads, and how one knows. */

import { asApiError, askJson } from '../../api/http';
import { useRefreshed } from '../../api/usage';
import { useCell } from '../../cell';
import { Empty, Failure, Head, Loading, Panel, Status } from '../../parts/basics';
import { namespace, place } from '../../router';
import { affected, evidence, readImpact, type Problem } from './model';

const REFRESH_MS = 15_000;

export default function Impact(_: { path: string[] }) {
  const scope = useCell(namespace);
  const { query } = useCell(place);
  const asked = new URLSearchParams([...query.entries()].filter(([key]) => key === 'node' || key === 'pod'));
  const address = `/v1/impact${asked.size > 0 ? `?${asked}` : ''}`;
  const { value, error } = useRefreshed(async (signal) => readImpact(await askJson(address, { signal })), REFRESH_MS, address);
  const problems = (value ?? []).filter((problem) => !scope || affected(problem).some((one) => one.namespace === scope));
  return (
    <>
      <Head title="Impact" status={asked.size > 0 ? <span class="muted">of {[...asked.values()].join(', ')}</span> : undefined} />
      {error !== null && <Failure error={asApiError(error)} what="the impact" />}
      {!value && error === null && <Loading what="the impact" />}
      {value && problems.length === 0 && (
        <Empty title="No machine troubles a workload">Pressure, throttling, failing disks, silent nodes: nothing of that is there now.</Empty>
      )}
      {problems.map((problem) => (
        <One key={`${problem.node}/${problem.kind}/${problem.what}`} problem={problem} />
      ))}
    </>
  );
}

function One({ problem }: { problem: Problem }) {
  const touched = affected(problem);
  return (
    <Panel title={problem.title} aside={<Status tone={problem.severe ? 'bad' : 'busy'}>{problem.node}</Status>}>
      <div class="impact">
        {problem.detail && <p>{problem.detail}</p>}
        {problem.hint && (
          <p>
            <strong>What to do: </strong>
            {problem.hint}
          </p>
        )}
        <h3>Evidence</h3>
        <ul class="plain">
          {evidence(problem).map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        <h3>Affected workloads</h3>
        {touched.length === 0 ? (
          <p class="muted">None that is known.</p>
        ) : (
          <ul class="plain">
            {touched.map((one) => (
              <li key={one.href + one.title}>
                {one.href ? <a href={one.href}>{one.title}</a> : one.title} <span class="muted">{one.why}</span>
              </li>
            ))}
          </ul>
        )}
      </div>
    </Panel>
  );
}
