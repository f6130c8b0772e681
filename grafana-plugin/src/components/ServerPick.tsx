// One server, found by typing a part of its name. The browser's own list: it works with every keyboard and on every phone.
import { css } from '@emotion/css';
import type { GrafanaTheme2 } from '@grafana/data';
import { t } from '@grafana/i18n';
import { Input, useStyles2 } from '@grafana/ui';
import { useEffect, useId, useRef, useState } from 'react';
import { useAnswer } from '../api/client';
import type { Server } from '../api/schema';
import { clean } from '../format';

const pause = 250; // ms without a key before the ruler is asked
const most = 20;

/** Names to choose from; two of one name are told apart by their ids. */
export function choices(servers: Server[]): Map<string, Server> {
  const name = (s: Server) => clean(s.name || s.id, 128);
  const twice = new Set(servers.map(name).filter((n, i, all) => all.indexOf(n) !== i));
  return new Map(servers.map((s) => [twice.has(name(s)) ? `${name(s)} (${s.id.slice(0, 8)})` : name(s), s]));
}

export function ServerPick({ name, onPick }: { name: string; onPick: (id: string) => void }) {
  const s = useStyles2(styles);
  const id = useId();
  const [text, setText] = useState('');
  const [asked, setAsked] = useState('');
  const entered = useRef(''); // confirmed before the answer was there
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), pause);
    return () => clearTimeout(timer);
  }, [text]);
  const list = useAnswer('/servers', { search: asked, sort: 'name', limit: most }, { every: 0 });
  const offered = choices(list.data?.items ?? []);
  const current = asked === text.trim() && !list.isPlaceholderData;
  const none = asked !== '' && current && list.data?.total === 0;
  const only = current && offered.size === 1 ? [...offered.values()][0] : undefined;
  const take = (server: Server) => {
    setText('');
    entered.current = '';
    onPick(server.id);
  };
  useEffect(() => {
    if (entered.current !== '' && entered.current === asked && current) {
      entered.current = '';
      const exact = offered.get(asked) ?? only;
      if (exact) {
        take(exact);
      }
    }
  });
  return (
    <span className={s.field}>
      <span className={s.line}>
        <label className={s.name} htmlFor={id}>
          {name}
        </label>
        <span id={id + 'n'} role="status" className={s.none}>
          {none && t('server.pickNone', 'none is called so')}
        </span>
      </span>
      <Input
        id={id} list={id + 'l'} value={text} maxLength={200} autoComplete="off" spellCheck={false} placeholder={t('server.pickText', 'part of its name')} invalid={none || undefined} aria-describedby={none ? id + 'n' : undefined}
        onChange={(e) => {
          const v = e.currentTarget.value;
          const chosen = offered.get(v);
          if (chosen && (e.nativeEvent as InputEvent).inputType !== 'insertText') {
            take(chosen); // one of the list
          } else {
            setText(v);
            entered.current = '';
          }
        }}
        onKeyDown={(e) => {
          if (e.key === 'Enter') {
            e.preventDefault();
            const exact = offered.get(text.trim()) ?? only;
            if (text.trim() && exact) {
              take(exact);
            } else if (!current) {
              setAsked(text.trim());
              entered.current = text.trim();
            }
          }
        }}
      />
      <datalist id={id + 'l'}>
        {[...offered].map(([shown, v]) => (
          <option key={v.id} value={shown} />
        ))}
      </datalist>
    </span>
  );
}

const styles = (theme: GrafanaTheme2) => ({
  field: css({ display: 'flex', flexDirection: 'column', flex: '0 1 180px', minWidth: 110 }),
  name: css({ margin: 0, color: theme.colors.text.secondary, fontSize: theme.typography.bodySmall.fontSize }),
  line: css({ display: 'flex', flexWrap: 'wrap', gap: theme.spacing(0, 1) }),
  none: css({ color: theme.colors.error.text, fontSize: theme.typography.bodySmall.fontSize }),
});
