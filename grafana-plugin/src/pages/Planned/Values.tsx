// A few words of one kind: each can be taken out again. Known ones are offered.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { IconButton, Input, useStyles2 } from '@grafana/ui';
import { useId, useState } from 'react';
import { Data } from '../../components/Text';
import { clean, plain } from '../../format';

export function Values({ name, values, offered, onTyped, onChange, placeholder }: { name: string; values: string[]; offered: string[]; onTyped?: (text: string) => void; onChange: (values: string[]) => void; placeholder?: string }) {
  const s = useStyles2(styles);
  const id = useId();
  const [text, setText] = useState('');
  const add = (typed: string) => {
    const more = typed.split(',').map((v) => v.trim()).filter((v) => v && !values.includes(v));
    setText('');
    if (more.length) {
      onChange([...values, ...new Set(more)]);
    }
  };
  return (
    <div className={s.field}>
      <label className={s.name} htmlFor={id}>
        {name}
      </label>
      <Input
        id={id} list={id + 'list'} value={text} maxLength={400} autoComplete="off" spellCheck={false} placeholder={placeholder}
        onChange={(e) => {
          const v = e.currentTarget.value;
          const chosen = offered.includes(v) && (e.nativeEvent as InputEvent).inputType !== 'insertText';
          if (chosen || v.endsWith(',')) {
            add(v); // one of the list, or several with commas between
          } else {
            setText(v);
            onTyped?.(v.trim());
          }
        }}
        onKeyDown={(e) => {
          if (e.key === 'Enter') {
            e.preventDefault();
            add(text);
          }
        }}
        onBlur={() => add(text)}
      />
      <datalist id={id + 'list'}>
        {offered.filter((v) => !values.includes(v)).map((v) => <option key={v} value={clean(v, 128)} />)}
      </datalist>
      {values.length > 0 && (
        <ul className={s.chips} aria-label={name}>
          {values.map((v) => (
            <li key={v} className={s.chip}>
              <Data max={60}>{v}</Data>
              <IconButton name="times" size="sm" aria-label={t('planned.takeOut', 'Take out {{value}}', { value: clean(v, 60), ...plain })} onClick={() => onChange(values.filter((x) => x !== v))} />
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  field: css({ minWidth: 0 }),
  name: css({ margin: 0, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
  chips: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0.5), listStyle: 'none', margin: theme.spacing(0.75, 0, 0), padding: 0 }),
  chip: css({
    display: 'inline-flex', alignItems: 'center', gap: theme.spacing(0.5), maxWidth: '100%', padding: theme.spacing(0.25, 0.25, 0.25, 1), overflowWrap: 'anywhere', background: theme.colors.background.secondary, border: `1px solid ${theme.colors.border.medium}`, borderRadius: theme.shape.radius.pill,
    fontSize: theme.typography.bodySmall.fontSize, '& button': { margin: 0 },
  }),
});
