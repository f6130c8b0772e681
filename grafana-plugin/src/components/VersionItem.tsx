// One version of something that people write: who did what when, why, and its text.
import { t } from '@grafana/i18n';
import type { ReactNode } from 'react';
import type { RuleVersion } from '../api/schema';
import { Code } from './Code';
import { Item, Line } from './List';
import { Data, Dim, Tag, When } from './Text';

export function VersionItem({ of: v, deed, newest, after }: { of: RuleVersion; /** "changed" */ deed: string; newest?: boolean; after?: ReactNode }) {
  return (
    <Item before={<Tag>{v.version}</Tag>} after={after}>
      <Line>
        <span>
          {deed} {t('versions.by', 'by')} <Data max={80}>{v.author}</Data>
        </span>
        <Dim>
          <When at={v.at} />
        </Dim>
        {newest && <Tag>{t('versions.newest', 'newest')}</Tag>}
      </Line>
      {v.comment && <Data max={500}>{v.comment}</Data>}
      <details>
        <summary>{t('versions.text', 'Its text')}</summary>
        <Code label={t('versions.textOf', 'Text of version {{n}}', { n: v.version })}>{v.yaml}</Code>
      </details>
    </Item>
  );
}
