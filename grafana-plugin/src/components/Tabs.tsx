import { RadioButtonGroup } from '@grafana/ui';

/** A few views of one thing. */
export function Tabs<T extends string>({ label, value, of, onChange }: { label: string; value: T; of: Array<[T, string]>; onChange: (value: T) => void }) {
  return (
    <div role="group" aria-label={label}>
      <RadioButtonGroup size="sm" value={value} options={of.map(([v, text]) => ({ value: v, label: text }))} onChange={onChange} />
    </div>
  );
}
