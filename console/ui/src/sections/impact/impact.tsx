/** Which physical problem touches which workloads, and how one knows. */

import { asApiError, askJson } from '../../api/http';
import { useRefreshed } from '../../api/usage';
import { useCell } from '../../cell';
import { Age, Empty, Failure, Head, Loading, Panel, Status } from '../../parts/basics';
import { href, namespace, place, setQuery } from '../../router';
import { places, sentence, verdict, within, type Answer, type Evidence, type Problem } from './model';

/** As often as it is measured. */
const REFRESH_MS = 15_000;

export default function Impact(_: { path: string[] }) {
  const scope = useCell(namespace);
  const { query } = useCell(place);
  const asked = new URLSearchParams([...query.entries()].filter(([key]) => key === 'node' || key === 'pod'));
  const address = `/v1/impact${asked.size > 0 ? `?${asked}` : ''}`;
  const { value, error } = useRefreshed((signal) => askJson<Answer>(address, { signal }), REFRESH_MS, address);
  const all = value?.problems ?? [];
  const problems = within(all, scope);
  const elsewhere = all.length - problems.length;
  const everywhere = (): void => {
    namespace.set('');
    setQuery({ ns: undefined });
  };
  const about = [asked.size > 0 && `of ${[...asked.values()].join(', ')}`, scope && `in namespace ${scope}`].filter(Boolean).join(', ');
  const said = value && verdict(value, scope);
  return (
    <>
      <Head title="Impact" status={about && <span class="muted">{about}</span>}>
        {asked.size > 0 && (
          <a href={href(['impact'])}>Of the whole site</a>
        )}
      </Head>
      {error !== null && <Failure error={asApiError(error)} what="the impact" />}
      {!value && error === null && <Loading what="the impact" />}
      {value?.missing.map((what) => (
        <p class="missing" key={what}>
          {what}
        </p>
      ))}
      {said && error === null && problems.length === 0 && <Empty title={said.title}>{said.text}</Empty>}
      {problems.map((problem) => (
        <One key={`${problem.node}/${problem.kind}/${problem.subject ?? ''}`} problem={problem} />
      ))}
      {elsewhere > 0 && (
        <p class="note">
          {elsewhere === 1 ? '1 problem elsewhere.' : `${elsewhere} problems elsewhere.`}{' '}
          <button type="button" onClick={everywhere}>
            Show all namespaces
          </button>
        </p>
      )}
    </>
  );
}

function Proof({ of }: { of: Evidence[] }) {
  return (
    <ul class="plain">
      {of.map((one) => (
        <li key={one.metric + one.query}>
          {sentence(one)} {one.query && <a href={href(['charts', 'query'], { q: one.query, unit: one.unit === 'ratio' ? 'ratio' : undefined })}>Draw</a>}
        </li>
      ))}
    </ul>
  );
}

function One({ problem }: { problem: Problem }) {
  const { node, severity, subject, summary, hint, since, evidence, affected } = problem;
  return (
    <Panel title={`${node}${subject ? ` ${subject}` : ''}: ${summary}`} aside={<Status tone={severity === 'critical' ? 'bad' : 'busy'}>{severity}</Status>}>
      <div class="impact">
        <p>
          <strong>What to do: </strong>
          {hint}
        </p>
        <p class="muted">
          <a href={href(['nodes', node])}>Node {node}</a>
          {since && (
            <>
              {', since '}
              <Age since={since} />
            </>
          )}
        </p>
        <h3>Evidence</h3>
        <Proof of={evidence} />
        <h3>Affected workloads</h3>
        {affected.length === 0 && <p class="muted">None that is known.</p>}
        {affected.map((one) => (
          <div key={`${one.kind}/${one.namespace}/${one.name}`}>
            <p>
              {places(one).map(({ title, href: address }) => (address ? <a key={title} href={address}>{`${title} `}</a> : <span key={title}>{`${title} `}</span>))}
              <span class="muted">{`${one.certainty}: ${one.why}`}</span>
            </p>
            {one.evidence && <Proof of={one.evidence} />}
          </div>
        ))}
      </div>
    </Panel>
  );
}
