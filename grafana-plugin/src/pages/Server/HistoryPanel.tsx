// The configurations that a server had, on a time line: pick two to compare, or see it as it was.
import { css } from '@emotion/css';
import { t } from '@grafana/i18n';
import { Button, Stack } from '@grafana/ui';
import { useState } from 'react';
import { useAnswer } from '../../api/client';
import type { FieldDiff, Snapshot } from '../../api/schema';
import { ChangeItem } from '../../components/items';
import { Item, Line, List } from '../../components/List';
import { Columns, Panel, Rows } from '../../components/Panel';
import { Empty, Loaded } from '../../components/States';
import { Data, Dim, Tag, When } from '../../components/Text';
import { useFilters } from '../../components/useFilters';
import { clean, plural, words } from '../../format';

export function HistoryPanel({ server }: { server: string }) {
  const history = useAnswer('/servers/{id}/history', { id: server, limit: 50 });
  const [q, set] = useFilters();
  const [one, setOne] = useState('');
  const pick = (at: string) => {
    if (!one || one === at) {
      setOne(one === at ? '' : at);
      return;
    }
    const [from, to] = [one, at].sort();
    setOne('');
    set({ from, to });
  };
  return (
    <Rows>
      {q.from && q.to && <Difference server={server} from={q.from} to={q.to} close={() => set({ from: undefined, to: undefined })} />}
      <Columns>
        <Panel title={t('history.changes', 'What changed')}>
          <Loaded of={history}>
            {(h) => (h.changes.length ? <List>{h.changes.map((c) => <ChangeItem key={c.id} of={c} />)}</List> : <Empty title={t('history.none', 'Nothing has changed since it joined.')} />)}
          </Loaded>
        </Panel>
        <Panel title={t('history.configurations', 'Configurations it had')} extra={<Dim>{one ? t('history.second', 'now the other one') : t('history.first', 'compare two, or look back')}</Dim>}>
          <Loaded of={history}>
            {(h) =>
              h.snapshots.length ? (
                <List>
                  {h.snapshots.map((s) => (
                    <Configuration key={s.record_id + s.hash} of={s} picked={one === s.at} pick={pick} back={(at) => set({ at })} />
                  ))}
                </List>
              ) : (
                <Empty icon="hourglass" title={t('history.noSnapshot', 'No snapshot yet.')} />
              )
            }
          </Loaded>
        </Panel>
      </Columns>
    </Rows>
  );
}

function Configuration({ of: s, picked, pick, back }: { of: Snapshot; picked: boolean; pick: (at: string) => void; back: (at: string) => void }) {
  return (
    <Item
      after={
        s.at && (
          <Stack gap={0.5}>
            <Button size="sm" fill="text" variant={picked ? 'primary' : 'secondary'} aria-pressed={picked} onClick={() => pick(s.at as string)}>
              {t('history.compare', 'Compare')}
            </Button>
            <Button size="sm" fill="text" variant="secondary" onClick={() => back(s.at as string)}>
              {t('history.look', 'As it was')}
            </Button>
          </Stack>
        )
      }
    >
      <Line>
        <Tag>{words(s.category)}</Tag>
        <span>{s.changes ? plural('history.n', s.changes, '1 change', '{{n}} changes') : t('history.firstSeen', 'first seen')}</span>
        <Dim>
          <When at={s.at} />
        </Dim>
        <code title={t('history.hash', 'hash of its content')}>{s.hash.slice(0, 8)}</code>
      </Line>
    </Item>
  );
}

function Difference({ server, from, to, close }: { server: string; from: string; to: string; close: () => void }) {
  const diff = useAnswer('/servers/{id}/diff', { id: server, from, to }, { every: 0 });
  return (
    <Panel
      title={
        <>
          {t('diff.title', 'What differs')} <Dim><When at={from} /> → <When at={to} /></Dim>
        </>
      }
      extra={<Button size="sm" variant="secondary" icon="times" onClick={close}>{t('diff.close', 'Close')}</Button>}
    >
      <Loaded of={diff}>
        {(d) =>
          d.same ? (
            <Empty title={t('diff.same', 'Nothing differs in what was known at both times.')} />
          ) : (
            <>
              {d.known_since && Date.parse(d.known_since) > Date.parse(from) && (
                <Dim>
                  {t('diff.known', 'Nothing is known before')} <When at={d.known_since} />.
                </Dim>
              )}
              <List>
                {[...d.labels, ...d.facts].map((f) => (
                  <Field key={f.name} of={f} />
                ))}
                {d.categories.map((c) => (
                  <Item key={c.category} before={<Tag>{words(c.category)}</Tag>}>
                    {c.note ? <Dim><Data>{c.note}</Data></Dim> : c.changes.length ? (
                      <ul className={css({ margin: 0, paddingLeft: 18 })}>
                        {c.changes.map((x, i) => (
                          <li key={i}>
                            <Data max={300}>{x.text}</Data>
                          </li>
                        ))}
                      </ul>
                    ) : (
                      <Dim>{t('diff.equal', 'the same')}</Dim>
                    )}
                  </Item>
                ))}
              </List>
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}

function Field({ of: f }: { of: FieldDiff }) {
  return (
    <Item>
      {clean(words(f.name), 80)}: <Data>{f.before || '–'}</Data> → <Data>{f.after || '–'}</Data>
    </Item>
  );
}
