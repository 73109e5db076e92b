import { presentable, toYaml } from '../model/yaml';
import { say } from './toasts';

/** An object as YAML, to be read and copied. */
export function Yaml({ object }: { object: { metadata: object } }) {
  const text = toYaml(presentable(object));
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(
      () => say('Copied.'),
      () => say('The browser does not let it be copied.'),
    );
  };
  return (
    <div class="yaml">
      <button type="button" class="quiet" onClick={copy}>
        Copy
      </button>
      <pre tabIndex={0} aria-label="YAML">
        {text}
      </pre>
    </div>
  );
}
